
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_JOURNAL_H_INCLUDED_
#define _NGX_MESH_JOURNAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_store.h"


/*
 * Files that hold the operator's items of one revision each, in a directory
 * of which they are the files "journal.SEQUENCE".  All of these functions
 * read or write the disk: they are for the agent, and for a start.
 */


/* bytes of an author or a comment that are kept */
#define NGX_MESH_JOURNAL_NOTE  255


typedef struct {
    uint64_t                 sequence;       /* grows with each file */
    uint64_t                 epoch;          /* of the store it was made of */
    uint64_t                 revision;
    uint64_t                 fence;          /* of the lease it was made by */
    uint64_t                 time;           /* ms since 1970 */
    uint64_t                 nitems;
    uint64_t                 length;         /* of what follows the header */
    uint32_t                 checksum;       /* of the same */
    uint32_t                 content;        /* the items' alone */
    uint32_t                 layout;         /* of the values */
    uint8_t                  author;         /* lengths; the texts come first */
    uint8_t                  comment;
} ngx_mesh_journal_header_t;


/* a file that was read; the memory is that of the pool */

typedef struct {
    ngx_mesh_journal_header_t  header;
    ngx_str_t                  author;
    ngx_str_t                  comment;

    /* private */
    u_char                    *pos;
    u_char                    *last;
} ngx_mesh_journal_t;


typedef struct {
    ngx_mesh_journal_header_t  header;
    ngx_str_t                  author;
    ngx_str_t                  comment;
    off_t                      size;
} ngx_mesh_journal_entry_t;


/*
 * Writes a file: what is there is not touched before the new one is complete
 * and on the disk.  Sequence, epoch, revision, fence, time and layout of the
 * header are the caller's; the rest is filled in.  NGX_DONE: these are the
 * items of the header "same" (NULL: of none), and nothing was written.
 * NGX_ERROR: *failed is the error, and what was half written is gone.
 */
ngx_int_t ngx_mesh_journal_write(int dir, ngx_mesh_journal_header_t *header,
    ngx_str_t *author, ngx_str_t *comment, ngx_mesh_store_item_t *items,
    ngx_uint_t n, ngx_mesh_journal_header_t *same, ngx_err_t *failed,
    ngx_log_t *log);

/*
 * Removes all but so many files up to the newest one that is good; what it
 * cannot remove it leaves, and files after it, which are damaged, too.
 */
void ngx_mesh_journal_tidy(int dir, uint64_t newest, ngx_uint_t keep,
    ngx_log_t *log);

/*
 * The files of which at least the header is good, newest first, as entries
 * (ngx_mesh_journal_entry_t).  NGX_ERROR: the directory cannot be read.
 */
ngx_int_t ngx_mesh_journal_list(int dir, ngx_pool_t *pool,
    ngx_array_t *entries, ngx_log_t *log);

/* NGX_DECLINED: there is no such file, or it is damaged; NGX_ERROR: it may be
   good, but this process lacks memory or descriptors */
ngx_int_t ngx_mesh_journal_open(int dir, uint64_t sequence, ngx_pool_t *pool,
    ngx_mesh_journal_t *journal, ngx_log_t *log);

/*
 * The newest file that is complete; damaged ones are logged and passed over.
 * NGX_DECLINED: there is none; NGX_ERROR: it cannot be told, as above or as the
 * directory cannot be read.  With "newer" only those after that sequence are
 * looked at.
 */
ngx_int_t ngx_mesh_journal_newest(int dir, uint64_t newer, ngx_pool_t *pool,
    ngx_mesh_journal_t *journal, ngx_log_t *log);

/* the items one after the other; NGX_DONE: there are no more */
ngx_int_t ngx_mesh_journal_next(ngx_mesh_journal_t *journal,
    ngx_mesh_store_item_t *item);


#endif /* _NGX_MESH_JOURNAL_H_INCLUDED_ */
