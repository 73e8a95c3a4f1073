
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _MB_HESSIAN_H_INCLUDED_
#define _MB_HESSIAN_H_INCLUDED_


#include "mb.h"


/* how strings of 32 bytes and more begin: Dubbo's Hessian and SOFARPC's */

typedef struct {
    u_char                     part;
    u_char                     last;

    /* tags 0x30 to 0x33 have the length's high bits, for up to 1023 bytes */
    unsigned                   medium;
} mb_hessian_t;


extern const mb_hessian_t  mb_hessian_2;
extern const mb_hessian_t  mb_hessian_sofa;


uint32_t mb_get32(u_char *p);
u_char *mb_put32(u_char *p, uint32_t n);

u_char *mb_hessian_string(const mb_hessian_t *h, u_char *p, const char *s);
size_t mb_hessian_tag(const mb_hessian_t *h, size_t room);
u_char *mb_hessian_fill(const mb_hessian_t *h, u_char *p, size_t room);
u_char *mb_hessian_skip(const mb_hessian_t *h, u_char *p, u_char *last,
    u_char **text, size_t *len);


#endif /* _MB_HESSIAN_H_INCLUDED_ */
