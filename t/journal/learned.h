
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _LEARNED_H_INCLUDED_
#define _LEARNED_H_INCLUDED_


/* "learned" DIR OWNER SERVICES ENDPOINTS: the latter are of each service */
int write_learned(char **argv);


#endif /* _LEARNED_H_INCLUDED_ */
