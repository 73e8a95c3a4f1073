
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _REDIS_H_INCLUDED_
#define _REDIS_H_INCLUDED_


void test_view(void);
void test_server(void);


#endif /* _REDIS_H_INCLUDED_ */
