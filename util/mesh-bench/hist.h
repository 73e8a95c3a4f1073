
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _MB_HIST_H_INCLUDED_
#define _MB_HIST_H_INCLUDED_


#include "mb.h"


/*
 * Log-linear: 128 linear buckets for each power of two, so a bucket is never
 * wider than 1/128 of its value and its middle is within 0.4 % of it.
 */

#define MB_HIST_BITS   7
#define MB_HIST_SUB    (1 << MB_HIST_BITS)
#define MB_HIST_TOP    42
#define MB_HIST_SIZE   ((MB_HIST_TOP - MB_HIST_BITS + 1) * MB_HIST_SUB)


typedef struct {
    uint64_t  count;
    uint64_t  max;
    uint64_t  sum;
    uint64_t  bucket[MB_HIST_SIZE];
} mb_hist_t;


void mb_hist_add(mb_hist_t *h, uint64_t value);
void mb_hist_merge(mb_hist_t *h, mb_hist_t *other);
uint64_t mb_hist_quantile(mb_hist_t *h, double q);


#endif /* _MB_HIST_H_INCLUDED_ */
