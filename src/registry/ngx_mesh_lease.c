
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_registry_int.h"
#include <sys/file.h>


/*
 * The lease is a lock of the file "lock", which the kernel takes from whoever
 * dies; it reaches across two masters, which a zone does not.  In the file is
 * the fence, a number that grows each time, with pid and master of the owner.
 * Who waits for the lease holds the lock of "next".
 */


/* of a size that never changes, so that a full disk does not matter */
#define NGX_MESH_LEASE_TEXT  sizeof("18446744073709551615 4294967295 "        \
                                    "4294967295")


static void ngx_mesh_lease_store(ngx_mesh_lease_t *lease);
static ngx_int_t ngx_mesh_lease_open(ngx_mesh_lease_t *lease);
static int ngx_mesh_lease_file(int dir, char *name);
static uint64_t ngx_mesh_lease_read(ngx_mesh_lease_t *lease,
    ngx_pid_t *master);
static ngx_int_t ngx_mesh_lease_same(ngx_mesh_lease_t *lease);


ngx_int_t
ngx_mesh_lease_take(ngx_mesh_lease_t *lease, uint64_t least, ngx_err_t *err)
{
    ngx_pid_t  master;

    if (ngx_mesh_lease_open(lease) != NGX_OK) {
        *err = ngx_errno;
        ngx_mesh_lease_close(lease);
        return NGX_ERROR;
    }

    if (!lease->announced) {

        if (flock(lease->next, LOCK_EX|LOCK_NB) == 0) {
            lease->announced = 1;

        } else if (ngx_errno != EWOULDBLOCK) {
            goto failed;
        }
    }

    if (!lease->announced || flock(lease->fd, LOCK_EX|LOCK_NB) == -1) {

        if (lease->announced && ngx_errno != EWOULDBLOCK) {
            goto failed;
        }

        if (ngx_mesh_lease_read(lease, &master)) {
            lease->other = (master != ngx_parent);
        }

        /* files that went and came again are not those that others lock */

        if (ngx_mesh_lease_same(lease) != NGX_OK) {
            ngx_mesh_lease_close(lease);
        }

        return NGX_AGAIN;
    }

    if (ngx_mesh_lease_same(lease) != NGX_OK) {
        ngx_mesh_lease_close(lease);
        return NGX_AGAIN;
    }

    lease->fence = ngx_max(ngx_mesh_lease_read(lease, &master), least) + 1;
    lease->held = 1;
    lease->other = 0;

    ngx_mesh_lease_store(lease);

    (void) flock(lease->next, LOCK_UN);
    lease->announced = 0;

    return NGX_OK;

failed:

    *err = ngx_errno;
    ngx_mesh_lease_close(lease);

    return NGX_ERROR;
}


/* held all the same if it cannot be written: only the lock counts */

static void
ngx_mesh_lease_store(ngx_mesh_lease_t *lease)
{
    u_char  text[NGX_MESH_LEASE_TEXT + 1];

    ngx_memset(text, ' ', sizeof(text));
    (void) ngx_sprintf(text, "%020uL %010P %010P", lease->fence, ngx_pid,
                       ngx_parent);
    text[NGX_MESH_LEASE_TEXT - 1] = LF;

    lease->stored = (pwrite(lease->fd, text, NGX_MESH_LEASE_TEXT, 0)
                     == (ssize_t) NGX_MESH_LEASE_TEXT);
}


void
ngx_mesh_lease_raise(ngx_mesh_lease_t *lease, uint64_t least)
{
    if (!lease->held || (lease->stored && lease->fence > least)) {
        return;
    }

    lease->fence = ngx_max(lease->fence, least + 1);

    ngx_mesh_lease_store(lease);
}


static ngx_int_t
ngx_mesh_lease_open(ngx_mesh_lease_t *lease)
{
    char  *path;

    if (lease->dir == -1) {
        path = (char *) ngx_mesh_registry_conf->agent_path->name.data;

        lease->dir = open(path, O_RDONLY|O_DIRECTORY|O_CLOEXEC|O_NOFOLLOW);
        if (lease->dir == -1) {
            return NGX_ERROR;
        }
    }

    if (lease->fd == -1) {
        lease->fd = ngx_mesh_lease_file(lease->dir, "lock");
    }

    if (lease->fd != -1 && lease->next == -1) {
        lease->next = ngx_mesh_lease_file(lease->dir, "next");
    }

    return lease->fd == -1 || lease->next == -1 ? NGX_ERROR : NGX_OK;
}


static int
ngx_mesh_lease_file(int dir, char *name)
{
    int  fd;

    fd = openat(dir, name, O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW, 0600);

    /* a lock needs nothing to be written */

    if (fd == -1 && (ngx_errno == EROFS || ngx_errno == NGX_EACCES)) {
        fd = openat(dir, name, O_RDONLY|O_CLOEXEC|O_NOFOLLOW);
    }

    /* nginx gives the directory to another user, not what is in it; who holds
       the old file sees that it is gone */

    if (fd == -1 && ngx_errno == NGX_EACCES
        && unlinkat(dir, name, 0) == 0)
    {
        fd = openat(dir, name, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600);
    }

    return fd;
}


/* the fence, or 0; also of what can be none, for another one follows it */

static uint64_t
ngx_mesh_lease_read(ngx_mesh_lease_t *lease, ngx_pid_t *master)
{
    char      text[NGX_MESH_LEASE_TEXT + 1], *p;
    ssize_t   n;
    uint64_t  fence;

    *master = 0;

    n = pread(lease->fd, text, NGX_MESH_LEASE_TEXT, 0);

    if (n < (ssize_t) NGX_MESH_LEASE_TEXT) {
        return 0;
    }

    text[n] = '\0';

    p = strrchr(text, ' ');

    if (p) {
        *master = (ngx_pid_t) strtol(p + 1, NULL, 10);
    }

    fence = strtoull(text, NULL, 10);

    return fence == (uint64_t) -1 ? 0 : fence;
}


static ngx_int_t
ngx_mesh_lease_same(ngx_mesh_lease_t *lease)
{
    ngx_file_info_t  ours, there;

    if (fstat(lease->fd, &ours) == -1
        || fstatat(lease->dir, "lock", &there, AT_SYMLINK_NOFOLLOW) == -1
        || ours.st_ino != there.st_ino || ours.st_dev != there.st_dev)
    {
        return NGX_DECLINED;
    }

    /* the directory too may have been moved away */

    if (fstat(lease->dir, &ours) == -1
        || lstat((char *) ngx_mesh_registry_conf->agent_path->name.data,
                 &there)
           == -1
        || ours.st_ino != there.st_ino || ours.st_dev != there.st_dev)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_lease_check(ngx_mesh_lease_t *lease)
{
    ngx_pid_t  master;

    if (lease->held
        && ngx_mesh_lease_same(lease) == NGX_OK
        && (!lease->stored
            || ngx_mesh_lease_read(lease, &master) == lease->fence))
    {
        return NGX_OK;
    }

    return NGX_DECLINED;
}


ngx_uint_t
ngx_mesh_lease_wanted(ngx_mesh_lease_t *lease)
{
    if (!lease->held) {
        return 0;
    }

    if (flock(lease->next, LOCK_EX|LOCK_NB) == -1) {
        return 1;
    }

    (void) flock(lease->next, LOCK_UN);

    return 0;
}


void
ngx_mesh_lease_close(ngx_mesh_lease_t *lease)
{
    if (lease->fd != -1) {
        (void) close(lease->fd);
    }

    if (lease->next != -1) {
        (void) close(lease->next);
    }

    if (lease->dir != -1) {
        (void) close(lease->dir);
    }

    lease->fd = -1;
    lease->next = -1;
    lease->dir = -1;
    lease->held = 0;
    lease->announced = 0;
}
