
/*
 * Copyright (C) nginx-mesh authors
 */


#include "hist.h"


static unsigned
mb_hist_index(uint64_t value)
{
    unsigned  shift;

    if (value < MB_HIST_SUB) {
        return (unsigned) value;
    }

    /* beyond an hour all is alike */

    if (value >> MB_HIST_TOP) {
        return MB_HIST_SIZE - 1;
    }

    shift = 63 - (unsigned) __builtin_clzll(value) - MB_HIST_BITS;

    return ((shift + 1) << MB_HIST_BITS)
           + (unsigned) ((value >> shift) - MB_HIST_SUB);
}


static uint64_t
mb_hist_value(unsigned i)
{
    uint64_t  low;
    unsigned  shift;

    if (i < MB_HIST_SUB) {
        return i;
    }

    shift = (i >> MB_HIST_BITS) - 1;
    low = (uint64_t) (MB_HIST_SUB + (i & (MB_HIST_SUB - 1))) << shift;

    return low + ((1ULL << shift) >> 1);
}


void
mb_hist_add(mb_hist_t *h, uint64_t value)
{
    h->bucket[mb_hist_index(value)]++;
    h->count++;
    h->sum += value;

    if (value > h->max) {
        h->max = value;
    }
}


void
mb_hist_merge(mb_hist_t *h, mb_hist_t *other)
{
    unsigned  i;

    for (i = 0; i < MB_HIST_SIZE; i++) {
        h->bucket[i] += other->bucket[i];
    }

    h->count += other->count;
    h->sum += other->sum;

    if (other->max > h->max) {
        h->max = other->max;
    }
}


uint64_t
mb_hist_quantile(mb_hist_t *h, double q)
{
    double    n;
    uint64_t  seen, value;
    unsigned  i;

    if (h->count == 0) {
        return 0;
    }

    seen = 0;
    n = q * (double) h->count;

    for (i = 0; i < MB_HIST_SIZE; i++) {
        seen += h->bucket[i];

        if (seen && (double) seen >= n) {
            value = mb_hist_value(i);
            return value < h->max ? value : h->max;
        }
    }

    return h->max;
}
