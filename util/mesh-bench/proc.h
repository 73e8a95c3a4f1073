
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _MB_PROC_H_INCLUDED_
#define _MB_PROC_H_INCLUDED_


#include "mb.h"


#define MB_MAX_PIDS  16


typedef struct {
    int       pid;
    uint64_t  start;
    uint64_t  used;
} mb_pid_t;


unsigned mb_pids_parse(char *list, mb_pid_t *pids);
uint64_t mb_proc_cpu(int pid);
uint64_t mb_self_cpu(void);


#endif /* _MB_PROC_H_INCLUDED_ */
