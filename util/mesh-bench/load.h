
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _MB_LOAD_H_INCLUDED_
#define _MB_LOAD_H_INCLUDED_


#include "conn.h"
#include "hist.h"
#include "proc.h"

#include <pthread.h>
#include <stdatomic.h>


#define MB_STATUSES  256


typedef struct {
    uint64_t            id;
    uint64_t            start;
    u_char              value[MB_VALUE];
    u_char              busy;
} mb_load_slot_t;


typedef struct {
    mb_conn_t          *conn;
    mb_load_slot_t     *slots;
    uint32_t           *free;
    uint32_t            nfree;
    uint64_t            generation;
    uint64_t            issued;
    unsigned            opening;
} mb_client_t;


typedef struct {
    mb_loop_t           loop;
    pthread_t           tid;
    unsigned            index;
    int                 timer;

    mb_client_t        *clients;
    mb_client_t        *current;
    unsigned            nclients;
    unsigned            cursor;
    unsigned            down;
    uint64_t            retry;

    mb_template_t       request;
    mb_template_t       oneway_request;
    mb_template_t       answer;

    /* fixed rate: when the next call is due, and the step */
    double              due;
    double              interval;

    uint64_t            quota;
    uint64_t            sequence;
    uint64_t            outstanding;
    double              oneway_due;

    /* read by the main thread while the run goes on */
    _Atomic uint64_t    done;
    _Atomic uint64_t    finished;

    uint64_t            sent;
    uint64_t            oneway;
    uint64_t            errors;
    uint64_t            wrong;
    uint64_t            lost;
    uint64_t            closed;
    uint64_t            unsent;
    uint64_t            pings;
    uint64_t            events;
    uint64_t            status[MB_STATUSES];
    mb_hist_t           hist;
} mb_worker_t;


typedef struct {
    const mb_proto_t   *proto;
    mb_addr_t           addr;
    mb_call_t           call;
    unsigned            connections;
    unsigned            depth;
    unsigned            threads;
    size_t              size;
    double              rate;
    double              oneway;
    uint64_t            calls;
    uint64_t            duration;
    uint64_t            warmup;
    uint64_t            drain;
    unsigned            idle;
    unsigned            touch;
    unsigned            deep;

    /* the window that is measured */
    uint64_t            begin;
    uint64_t            end;

    mb_pid_t            pids[MB_MAX_PIDS];
    unsigned            npids;
} mb_load_t;


extern mb_load_t  mb_ld;


void mb_worker_init(mb_worker_t *w, unsigned index, unsigned nclients);
void *mb_worker_thread(void *data);


#endif /* _MB_LOAD_H_INCLUDED_ */
