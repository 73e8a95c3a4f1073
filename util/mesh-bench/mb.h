
/*
 * Copyright (C) nginx-mesh authors
 */


/*
 * mesh-bench: provider, load generator and bare multiplexer for RPC frames.
 */


#ifndef _MB_H_INCLUDED_
#define _MB_H_INCLUDED_


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>


#define MB_OK          0
#define MB_ERROR      -1

#define MB_VALUE       6
#define MB_MAX_FRAME   (64 * 1024 * 1024)
#define MB_SEC         1000000000ULL
#define MB_MSEC        1000000ULL

#define mb_unused      __attribute__((unused))


typedef struct {
    struct sockaddr_storage    sa;
    socklen_t                  len;
} mb_addr_t;


typedef enum {
    MB_REQUEST = 0,
    MB_ONEWAY,
    MB_RESPONSE,
    MB_PING,
    MB_PONG,
    MB_EVENT
} mb_kind_e;


typedef struct {
    u_char                    *data;
    size_t                     len;
    uint64_t                   id;
    mb_kind_e                  kind;
    unsigned                   status;
} mb_frame_t;


typedef struct {
    const char                *service;
    const char                *version;
    const char                *method;
    const char                *application;
} mb_call_t;


/* a frame that is copied and stamped for each call */

typedef struct {
    u_char                    *data;
    size_t                     len;
    size_t                     value;
    size_t                     value_end;

    /* of what is the same in every copy: a checksum is behind it */
    size_t                     end;
} mb_template_t;


typedef struct {
    u_char                    *data;
    size_t                     len;

    /* its first characters, when it is a string of at least MB_VALUE */
    u_char                    *value;
} mb_arg_t;


/* all that is known of one protocol */

typedef struct {
    const char                *name;

    /* the least bytes of a frame; what an answer has besides its body */
    size_t                     header;
    size_t                     answer_room;

    uint64_t                   id_mask;
    unsigned                   ok;
    unsigned                   failed;

    /* where len is too short for a header, f->len becomes what it takes */
    int      (*parse)(u_char *p, size_t len, mb_frame_t *f);

    /* what only a complete frame shows: a checksum, an error in the body */
    int      (*whole)(mb_frame_t *f);

    /* into a frame that is right, and into a copy that was written to */
    void     (*set_id)(u_char *frame, size_t len, uint64_t id);
    void     (*stamp)(u_char *frame, size_t len, uint64_t id);

    int      (*request)(mb_template_t *t, mb_call_t *call, size_t body,
                        int oneway);
    int      (*arg)(mb_frame_t *f, mb_arg_t *arg);
    size_t   (*body)(mb_frame_t *f, mb_arg_t *arg);

    int      (*answer)(mb_template_t *t, size_t body);
    size_t   (*echo)(u_char *buf, mb_frame_t *f, mb_arg_t *arg);
    size_t   (*error)(u_char *buf, mb_frame_t *f, unsigned status);
    u_char  *(*result)(mb_frame_t *f);

    size_t   (*pong)(u_char *buf, mb_frame_t *f);
} mb_proto_t;


/* bytes that echo(), error() and pong() may add to what they copy */

#define MB_ANSWER_EXTRA  256


const mb_proto_t *mb_proto(const char *name);
extern const mb_proto_t  mb_dubbo;
extern const mb_proto_t  mb_bolt1;
extern const mb_proto_t  mb_bolt2;


void mb_die(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));
void *mb_alloc(size_t size);
void *mb_realloc(void *p, size_t size);
uint64_t mb_now(void);
void mb_sleep_until(uint64_t when);
uint64_t mb_random(uint64_t *seed);

uint64_t mb_duration(const char *text, uint64_t unit);
size_t mb_size(const char *text);
double mb_number(const char *text, double min, double max);

void mb_addr_parse(const char *text, mb_addr_t *addr);
const char *mb_addr_text(mb_addr_t *addr);
int mb_listen(mb_addr_t *addr);
int mb_connect(mb_addr_t *addr, int wait);
void mb_nodelay(int fd);

int mb_timer(void);
void mb_timer_set(int fd, uint64_t when);


int mb_serve(int argc, char **argv);
int mb_load(int argc, char **argv);
int mb_bare(int argc, char **argv);


#endif /* _MB_H_INCLUDED_ */
