
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh.h"
#include "ngx_mesh_handover.h"
#include <sys/un.h>


/*
 * The sockets are named after the pid file, which both masters of a binary
 * upgrade have in common and no other nginx has: "nginx.pid.mesh.XXXXXXXX".
 * Neither name nor descriptor goes from one master to the other, so that an
 * upgrade and its rollback are the same thing here.
 */


#define NGX_MESH_HANDOVER_BACKLOG      511
#define NGX_MESH_HANDOVER_GENERATIONS  8     /* that are told apart */
#define NGX_MESH_HANDOVER_FDS          (NGX_MESH_HANDOVER_LINKS + 1)


/* one generation of workers, between two reloads */

typedef struct {
    ngx_atomic_t               sent;
    ngx_atomic_t               kept;
    ngx_atomic_t               paused;
    ngx_pid_t                  pids[NGX_MAX_PROCESSES];   /* by slot */
} ngx_mesh_generation_t;


/* shared by a master and its workers */

typedef struct {
    ngx_atomic_t               generation;
    ngx_atomic_t               left;        /* the last that is leaving */
    ngx_mesh_generation_t      table[NGX_MESH_HANDOVER_GENERATIONS];
} ngx_mesh_generations_t;


static ngx_int_t ngx_mesh_handover_share(ngx_cycle_t *cycle);
static ngx_int_t ngx_mesh_handover_open(ngx_cycle_t *cycle,
    ngx_core_conf_t *ccf);
static ngx_int_t ngx_mesh_handover_bind(ngx_cycle_t *cycle, ngx_socket_t s,
    ngx_core_conf_t *ccf);
static ngx_socket_t ngx_mesh_handover_scan(ngx_log_t *log, ngx_uint_t tidy);
static ngx_socket_t ngx_mesh_handover_dial(u_char *name, ngx_log_t *log);
static ngx_mesh_generation_t *ngx_mesh_handover_generation(void);


static ngx_socket_t             ngx_mesh_handover_fd = (ngx_socket_t) -1;
static u_char                   ngx_mesh_handover_path[NGX_MAX_PATH];
static size_t                   ngx_mesh_handover_base;    /* of the path */
static ngx_mesh_generations_t  *ngx_mesh_handover_shared;
static ngx_atomic_uint_t        ngx_mesh_handover_own;     /* generation */
static ngx_uint_t               ngx_mesh_handover_told;


/*
 * Runs in the master when a new configuration is in force.  Nothing here may
 * stop nginx: without a socket sessions are closed as they were before.
 */

void
ngx_mesh_handover_init_module(ngx_cycle_t *cycle)
{
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (ngx_test_config || ngx_process == NGX_PROCESS_SIGNALLER
        || ngx_mesh_get_conf(cycle, &ngx_mesh_core_module) == NULL)
    {
        return;
    }

    if (!ccf->master) {

        if (!ngx_mesh_handover_told) {
            ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                          "\"master_process off\": connections are not handed "
                          "over");
            ngx_mesh_handover_told = 1;
        }

        return;
    }

    if (ngx_mesh_handover_share(cycle) != NGX_OK) {
        return;
    }

    if (ngx_mesh_handover_fd == (ngx_socket_t) -1
        && ngx_mesh_handover_open(cycle, ccf) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "connections cannot be handed over, a reload will "
                      "close them");
    }
}


void
ngx_mesh_handover_exit_master(ngx_cycle_t *cycle)
{
    if (ngx_mesh_handover_fd == (ngx_socket_t) -1) {
        return;
    }

    (void) ngx_delete_file(ngx_mesh_handover_path);
}


static ngx_int_t
ngx_mesh_handover_share(ngx_cycle_t *cycle)
{
    ngx_shm_t               shm;
    ngx_mesh_generation_t  *g;

    if (ngx_mesh_handover_shared == NULL) {
        ngx_memzero(&shm, sizeof(ngx_shm_t));

        shm.size = sizeof(ngx_mesh_generations_t);
        ngx_str_set(&shm.name, "nginx_mesh_handover");
        shm.log = cycle->log;

        if (ngx_shm_alloc(&shm) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_mesh_handover_shared = (ngx_mesh_generations_t *) shm.addr;
        ngx_memzero(shm.addr, sizeof(ngx_mesh_generations_t));
    }

    ngx_mesh_handover_own = ++ngx_mesh_handover_shared->generation;

    g = ngx_mesh_handover_generation();
    ngx_memzero(g, sizeof(ngx_mesh_generation_t));

    return NGX_OK;
}


static ngx_mesh_generation_t *
ngx_mesh_handover_generation(void)
{
    ngx_uint_t  n;

    n = ngx_mesh_handover_own % NGX_MESH_HANDOVER_GENERATIONS;

    return &ngx_mesh_handover_shared->table[n];
}


static ngx_int_t
ngx_mesh_handover_open(ngx_cycle_t *cycle, ngx_core_conf_t *ccf)
{
    u_char             *p;
    ngx_time_t         *tp;
    ngx_socket_t        s;
    struct sockaddr_un  sun;

    if (ccf->pid.len + sizeof(".mesh.XXXXXXXX.new") > sizeof(sun.sun_path)) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "the path of \"pid\" %V is too long for a socket beside "
                      "it, %uz bytes are allowed", &ccf->pid,
                      sizeof(sun.sun_path) - sizeof(".mesh.XXXXXXXX.new"));
        return NGX_ERROR;
    }

    p = ngx_cpymem(ngx_mesh_handover_path, ccf->pid.data, ccf->pid.len);
    p = ngx_cpymem(p, ".mesh.", sizeof(".mesh.") - 1);
    ngx_mesh_handover_base = p - ngx_mesh_handover_path;

    /* the pid will be another one once nginx is a daemon */

    tp = ngx_timeofday();
    p = ngx_sprintf(p, "%08xD", (uint32_t) ((uint32_t) ngx_pid << 16
                                            ^ tp->sec ^ tp->msec << 20));
    *p = '\0';

    (void) ngx_mesh_handover_scan(cycle->log, 1);

    s = ngx_socket(AF_UNIX, SOCK_SEQPACKET, 0);
    if (s == (ngx_socket_t) -1) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_socket_errno,
                      ngx_socket_n " for hand-over failed");
        return NGX_ERROR;
    }

    if (ngx_nonblocking(s) == -1 || fcntl(s, F_SETFD, FD_CLOEXEC) == -1) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_socket_errno,
                      "options of the hand-over socket failed");
        goto failed;
    }

    if (ngx_mesh_handover_bind(cycle, s, ccf) != NGX_OK) {
        goto failed;
    }

    ngx_mesh_handover_fd = s;

    return NGX_OK;

failed:

    (void) ngx_close_socket(s);

    return NGX_ERROR;
}


/* the name appears when everything behind it is ready */

static ngx_int_t
ngx_mesh_handover_bind(ngx_cycle_t *cycle, ngx_socket_t s,
    ngx_core_conf_t *ccf)
{
    u_char              *p;
    struct sockaddr_un   sun;

    ngx_memzero(&sun, sizeof(struct sockaddr_un));
    sun.sun_family = AF_UNIX;

    p = ngx_cpymem(sun.sun_path, ngx_mesh_handover_path,
                   ngx_strlen(ngx_mesh_handover_path));
    ngx_memcpy(p, ".new", sizeof(".new"));

    p = (u_char *) sun.sun_path;

    if (bind(s, (struct sockaddr *) &sun, sizeof(struct sockaddr_un)) == -1) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_socket_errno,
                      "bind() to \"%s\" failed", p);
        return NGX_ERROR;
    }

    if (chmod((char *) p, S_IRUSR|S_IWUSR) == -1
        || (geteuid() == 0 && ccf->user != (ngx_uid_t) NGX_CONF_UNSET_UINT
            && chown((char *) p, ccf->user, -1) == -1)
        || listen(s, NGX_MESH_HANDOVER_BACKLOG) == -1
        || ngx_rename_file(p, ngx_mesh_handover_path) == NGX_FILE_ERROR)
    {
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                      "the hand-over socket \"%s\" cannot be used", p);
        (void) ngx_delete_file(p);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* the socket of another master, which is alive if it can be connected to;
   "tidy": what killed ones left behind is deleted instead */

static ngx_socket_t
ngx_mesh_handover_scan(ngx_log_t *log, ngx_uint_t tidy)
{
    size_t         len, dirlen;
    u_char         name[NGX_MAX_PATH], *slash, *p;
    ngx_dir_t      dir;
    ngx_str_t      path;
    ngx_socket_t   s, found;

    len = ngx_mesh_handover_base;
    ngx_memcpy(name, ngx_mesh_handover_path, len);

    for (slash = name + len; slash > name && slash[-1] != '/'; slash--) {
        /* void */
    }

    dirlen = slash - name;

    path.data = name;
    path.len = dirlen;
    *slash = '\0';

    if (dirlen == 0 || ngx_open_dir(&path, &dir) == NGX_ERROR) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      ngx_open_dir_n " \"%V\" failed", &path);
        return (ngx_socket_t) -1;
    }

    ngx_memcpy(slash, ngx_mesh_handover_path + dirlen, len - dirlen);

    found = (ngx_socket_t) -1;

    while (ngx_read_dir(&dir) != NGX_ERROR) {

        if (ngx_de_namelen(&dir) != len - dirlen + 8
            || ngx_memcmp(ngx_de_name(&dir), slash, len - dirlen) != 0)
        {
            continue;
        }

        p = ngx_cpymem(name + len, ngx_de_name(&dir) + len - dirlen, 8);
        *p = '\0';

        if (ngx_strcmp(name, ngx_mesh_handover_path) == 0) {
            continue;
        }

        s = ngx_mesh_handover_dial(name, log);

        if (s == (ngx_socket_t) -1) {
            if (tidy && ngx_errno == ECONNREFUSED) {
                (void) ngx_delete_file(name);
            }

            continue;
        }

        if (tidy) {
            (void) ngx_close_socket(s);
            continue;
        }

        found = s;
        break;
    }

    (void) ngx_close_dir(&dir);

    return found;
}


static ngx_socket_t
ngx_mesh_handover_dial(u_char *name, ngx_log_t *log)
{
    ngx_err_t           err;
    ngx_socket_t        s;
    struct sockaddr_un  sun;

    s = ngx_socket(AF_UNIX, SOCK_SEQPACKET, 0);
    if (s == (ngx_socket_t) -1) {
        return s;
    }

    ngx_memzero(&sun, sizeof(struct sockaddr_un));
    sun.sun_family = AF_UNIX;
    ngx_memcpy(sun.sun_path, name, ngx_strlen(name));

    if (ngx_nonblocking(s) == 0
        && fcntl(s, F_SETFD, FD_CLOEXEC) == 0
        && connect(s, (struct sockaddr *) &sun, sizeof(struct sockaddr_un))
           == 0)
    {
        /* others may be able to write into the directory of the pid file */

        if (ngx_mesh_handover_trusted(s, log)) {
            return s;
        }

        (void) ngx_close_socket(s);
        ngx_set_errno(NGX_EACCES);

        return (ngx_socket_t) -1;
    }

    err = ngx_socket_errno;

    if (err != ECONNREFUSED && err != NGX_ENOENT && err != NGX_EAGAIN) {
        ngx_log_error(NGX_LOG_WARN, log, err,
                      "connect() to \"%s\" failed", name);
    }

    (void) ngx_close_socket(s);
    ngx_set_errno(err);

    return (ngx_socket_t) -1;
}


/* the mode of the socket keeps others out, where systems look at it */

ngx_uint_t
ngx_mesh_handover_trusted(ngx_socket_t s, ngx_log_t *log)
{
#if (NGX_LINUX)
    socklen_t     len;
    struct ucred  cred;

    len = sizeof(struct ucred);

    if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1) {
        return 0;
    }

    if (cred.uid != 0 && cred.uid != geteuid()) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "hand-over with process %P of user %d is refused",
                      cred.pid, (int) cred.uid);
        return 0;
    }
#endif

    return 1;
}


ngx_socket_t
ngx_mesh_handover_connect(ngx_log_t *log)
{
    ngx_socket_t             s;
    ngx_mesh_generations_t  *shared;

    shared = ngx_mesh_handover_shared;

    if (ngx_mesh_handover_shared == NULL || ngx_mesh_handover_base == 0) {
        return (ngx_socket_t) -1;
    }

    if (shared->generation == ngx_mesh_handover_own) {
        return ngx_mesh_handover_scan(log, 0);
    }

    /* the newer workers of this master may be leaving themselves */

    s = (ngx_socket_t) -1;

    if (shared->left == shared->generation) {
        s = ngx_mesh_handover_scan(log, 0);
    }

    if (s == (ngx_socket_t) -1) {
        s = ngx_mesh_handover_dial(ngx_mesh_handover_path, log);
    }

    return s;
}


void
ngx_mesh_handover_unlisten(void)
{
    ngx_mesh_handover_shared->left = ngx_mesh_handover_own;
}


ngx_socket_t
ngx_mesh_handover_listening(void)
{
    ngx_mesh_generation_t  *g;

    if (ngx_mesh_handover_shared == NULL) {
        return (ngx_socket_t) -1;
    }

    if (ngx_mesh_handover_shared->left == ngx_mesh_handover_own) {

        /* a rollback */

        ngx_mesh_handover_shared->left = 0;
    }

    g = ngx_mesh_handover_generation();
    g->pids[ngx_process_slot] = ngx_pid;

    return ngx_mesh_handover_fd;
}


void
ngx_mesh_handover_total(ngx_uint_t sent, ngx_uint_t kept, ngx_uint_t paused)
{
    ngx_uint_t              i;
    ngx_pid_t               pid;
    ngx_mesh_generation_t  *g;

    if (ngx_mesh_handover_shared == NULL) {
        return;
    }

    g = ngx_mesh_handover_generation();

    (void) ngx_atomic_fetch_add(&g->sent, sent);
    (void) ngx_atomic_fetch_add(&g->kept, kept);
    (void) ngx_atomic_fetch_add(&g->paused, paused);

    g->pids[ngx_process_slot] = 0;

    for (i = 0; i < NGX_MAX_PROCESSES; i++) {
        pid = g->pids[i];

        if (pid && (kill(pid, 0) == 0 || ngx_errno == NGX_EPERM)) {
            return;
        }
    }

    if (g->sent || g->kept) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "generation %uA of workers is gone: %uA connections "
                      "handed over, %uA of them paused for it, %uA closed",
                      ngx_mesh_handover_own, g->sent, g->paused, g->kept);
    }

    /* a rollback makes workers of the same generation once more */

    g->sent = 0;
    g->kept = 0;
    g->paused = 0;
}


ngx_int_t
ngx_mesh_handover_sendmsg(ngx_connection_t *c, void *p, size_t size,
    ngx_socket_t *fds, ngx_uint_t nfds)
{
    ssize_t          n;
    ngx_err_t        err;
    struct iovec     iov;
    struct msghdr    msg;
    struct cmsghdr  *cmsg;

    union {
        struct cmsghdr  align;
        u_char          space[CMSG_SPACE(NGX_MESH_HANDOVER_FDS
                                         * sizeof(ngx_socket_t))];
    } control;

    ngx_memzero(&msg, sizeof(struct msghdr));

    iov.iov_base = p;
    iov.iov_len = size;
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;

    if (nfds) {
        ngx_memzero(&control, sizeof(control));

        msg.msg_control = control.space;
        msg.msg_controllen = CMSG_SPACE(nfds * sizeof(ngx_socket_t));

        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(ngx_socket_t));
        ngx_memcpy(CMSG_DATA(cmsg), fds, nfds * sizeof(ngx_socket_t));
    }

    do {
        n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
        err = ngx_socket_errno;

    } while (n == -1 && err == NGX_EINTR);

    if (n == (ssize_t) size) {
        return NGX_OK;
    }

    /* ETOOMANYREFS: as many descriptors as may be are under way */

    if (n == -1 && (err == NGX_EAGAIN || err == ETOOMANYREFS
                    || err == ENOBUFS))
    {
        return NGX_AGAIN;
    }

    ngx_log_error(NGX_LOG_INFO, c->log, err, "hand-over sendmsg() failed");

    return NGX_ERROR;
}


ssize_t
ngx_mesh_handover_recvmsg(ngx_connection_t *c, void *p, size_t size,
    ngx_socket_t *fds, ngx_uint_t *nfds)
{
    ssize_t          n;
    ngx_err_t        err;
    ngx_uint_t       i, room, len;
    ngx_socket_t     s;
    struct iovec     iov;
    struct msghdr    msg;
    struct cmsghdr  *cmsg;

    union {
        struct cmsghdr  align;
        u_char          space[CMSG_SPACE(NGX_MESH_HANDOVER_FDS
                                         * sizeof(ngx_socket_t))];
    } control;

    ngx_memzero(&msg, sizeof(struct msghdr));

    iov.iov_base = p;
    iov.iov_len = size;
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.space;
    msg.msg_controllen = sizeof(control.space);

    room = *nfds;
    *nfds = 0;

    do {
        n = recvmsg(c->fd, &msg, 0);
        err = ngx_socket_errno;

    } while (n == -1 && err == NGX_EINTR);

    if (n == -1) {
        if (err == NGX_EAGAIN) {
            c->read->ready = 0;
            return NGX_AGAIN;
        }

        return NGX_ERROR;
    }

    for (cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg)) {

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS) {
            continue;
        }

        len = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(ngx_socket_t);

        for (i = 0; i < len; i++) {
            ngx_memcpy(&s, CMSG_DATA(cmsg) + i * sizeof(ngx_socket_t),
                       sizeof(ngx_socket_t));

            if (*nfds < room) {
                fds[(*nfds)++] = s;

            } else {
                (void) ngx_close_socket(s);
            }
        }
    }

    return n;
}


void
ngx_mesh_handover_detach(ngx_connection_t *c)
{
    if (ngx_del_conn) {
        if (c->read->active || c->write->active) {
            (void) ngx_del_conn(c, 0);
        }

    } else {
        if (c->read->active) {
            (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
        }

        if (c->write->active) {
            (void) ngx_del_event(c->write, NGX_WRITE_EVENT, 0);
        }
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }
}


/* the event method tells at once what came meanwhile */

void
ngx_mesh_handover_attach(ngx_connection_t *c)
{
    c->read->ready = 0;

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {

        /* the read will find out */

        c->read->ready = 1;
        ngx_post_event(c->read, &ngx_posted_events);
    }
}
