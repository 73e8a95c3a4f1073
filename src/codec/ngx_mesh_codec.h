
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_CODEC_H_INCLUDED_
#define _NGX_MESH_CODEC_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * The room "codec": bytes to facts, facts to bytes.  Nothing here knows of
 * events, connections or shared memory; every function may be given damaged
 * bytes and reads only between the pointers it was given.
 */


#define NGX_MESH_HEAD_MAX          32      /* no header needs more bytes */


/* what a frame is */

#define NGX_MESH_FRAME_REQUEST     0       /* wants an answer */
#define NGX_MESH_FRAME_ONEWAY      1       /* a request that wants none */
#define NGX_MESH_FRAME_RESPONSE    2
#define NGX_MESH_FRAME_HEARTBEAT   3       /* wants an acknowledgement */
#define NGX_MESH_FRAME_ACK         4       /* answer to a heartbeat */
#define NGX_MESH_FRAME_READONLY    5       /* the sender takes no new calls */
#define NGX_MESH_FRAME_EVENT       6       /* some other event; head() reports
                                              every event request as this until
                                              whole() has seen the body */


/* why a frame goes no further, although its length can be trusted */

#define NGX_MESH_BAD_CHECKSUM      1
#define NGX_MESH_BAD_COMMAND       2       /* a command nobody knows */


/* failures the proxy answers itself, DESIGN section 4 */

#define NGX_MESH_ERR_NONE          0
#define NGX_MESH_ERR_NO_ROUTE      1
#define NGX_MESH_ERR_NO_ENDPOINT   2
#define NGX_MESH_ERR_EXPIRED       3
#define NGX_MESH_ERR_TIMEOUT       4
#define NGX_MESH_ERR_CLOSED        5       /* "upstream_closed" */
#define NGX_MESH_ERR_OVERLOAD      6
#define NGX_MESH_ERR_TOO_LARGE     7       /* "request_too_large" */
#define NGX_MESH_ERR_BAD_RESPONSE  8
#define NGX_MESH_ERR_DENIED        9
#define NGX_MESH_ERR_CLIENT        10      /* client went away; never sent */
#define NGX_MESH_ERR_CALLBACK      11      /* provider calls on a shared link */
#define NGX_MESH_ERR_BAD_REQUEST   12      /* damaged, or no call at all */
#define NGX_MESH_ERR_N             13


/* how a call ended */

#define NGX_MESH_RESULT_OK         0
#define NGX_MESH_RESULT_EXCEPTION  1       /* the application's own */
#define NGX_MESH_RESULT_ERROR      2       /* status of the provider or ours */


/* which facts facts() shall look for */

#define NGX_MESH_WANT_NAMES        0x01    /* service, version, method */
#define NGX_MESH_WANT_ATTACHMENTS  0x02    /* group, timeout, any attachment */
#define NGX_MESH_WANT_FORCED       0x04    /* no budget for the arguments */


/* bytes of arguments skipped for attachments that are only nice to have */

#define NGX_MESH_ARGS_BUDGET       1024


typedef struct ngx_mesh_codec_s  ngx_mesh_codec_t;


typedef struct {
    uint64_t          id;
    size_t            size;        /* whole frame, header included; with
                                      NGX_AGAIN: header bytes needed to go on */
    uint32_t          timeout;     /* ms in the header, 0: none */
    uint16_t          status;      /* of a response, as on the wire */
    uint8_t           kind;        /* NGX_MESH_FRAME_* */
    uint8_t           variant;     /* links never mix variants */
    uint8_t           serial;      /* serialization id or codec byte, and what
                                      else an answer of ours depends on */
    uint8_t           head;        /* header's length */
    uint8_t           bad;         /* NGX_MESH_BAD_*, 0: as it should be */
    unsigned          client:1;    /* given to head(): a client sent it */
    unsigned          ok:1;        /* response: status says success */
    unsigned          check:1;     /* whole() has to see the frame */
    unsigned          late:1;      /* id, kind and status stand too far behind
                                      for head(), whole() will know them */
} ngx_mesh_frame_t;


/* attachments as they were read once, with the facts found in them */

typedef struct {
    size_t            len;
    ngx_int_t         timeout;
    uint32_t          group;       /* offset and length */
    uint32_t          group_len;
    uint32_t          app;
    uint32_t          app_len;
    u_char            bytes[1];
} ngx_mesh_known_t;


/*
 * Facts of one request.  Strings point into the frame, or into the scratch
 * memory when the wire had them in pieces; both belong to the caller and must
 * outlive the facts.  Absent strings have len 0.
 */

typedef struct {
    ngx_str_t         interface;   /* the name as the caller wrote it */
    ngx_str_t         version;     /* empty for "0.0.0", null and absent;
                                      "*" stays */
    ngx_str_t         group;       /* valid after attachments were read */
    ngx_str_t         method;      /* the real one behind $invoke */
    ngx_str_t         app;         /* calling application */

    ngx_int_t         timeout;     /* ms from attachments, -1: none */

    /* private to the codec */
    u_char           *args;        /* first byte after the descriptor */
    u_char           *attach;      /* first attachment */
    u_char           *end;         /* end of the frame */
    ngx_str_t         descriptor;
    ngx_uint_t        nargs;
    uint32_t         *classes;     /* defined by the arguments */
    ngx_uint_t        nclasses;

    u_char           *scratch;     /* free part of the caller's scratch */
    u_char           *scratch_end;

    /*
     * Attachments of an earlier call to compare with: where those of this
     * call are the same bytes, group, app and timeout are taken over from
     * what was found then (strings as offsets into the bytes).  NULL: none.
     */
    const ngx_mesh_known_t  *known;

    u_char            serial;      /* of the frame */

    unsigned          names:1;     /* service and method were readable */
    unsigned          generic:1;   /* method came out of $invoke's arguments */
    unsigned          attachments:1;   /* attachments were found */
    unsigned          tried:1;     /* attachments were looked for */
    unsigned          forced:1;    /* ... whatever the arguments' size */
    unsigned          damaged:1;   /* the body contradicts itself */
    unsigned          v202:1;      /* Dubbo protocol version 2.0.2: caller
                                      understands response attachments */
} ngx_mesh_facts_t;


/*
 * What edit() shall change in a request.  Fields are applied in their order;
 * names are compared byte by byte.  Values are UTF-8, what is not becomes
 * '?'.  A rewrite comes after the fields; of len 0 it takes the version or
 * group away.
 */

typedef struct {
    ngx_str_t         name;        /* not empty */
    ngx_str_t         value;
    unsigned          remove:1;    /* else it is set: replaced or added */
} ngx_mesh_edit_field_t;


typedef struct {
    ngx_mesh_edit_field_t  *fields;
    ngx_uint_t              nfields;

    ngx_str_t               version;
    ngx_str_t               group;

    unsigned                rewrite_version:1;
    unsigned                rewrite_group:1;
} ngx_mesh_edit_t;


struct ngx_mesh_codec_s {
    ngx_str_t         name;        /* of "mesh_pass" and $mesh_protocol */
    size_t            head_max;    /* <= NGX_MESH_HEAD_MAX */
    ngx_uint_t        id_bits;     /* 8 to 64; 0: frames have no id, so that
                                      a connection carries a call at a time */

    /*
     * Whether a connection that begins with the n bytes at p speaks this
     * protocol: NGX_OK; NGX_AGAIN: it may, NGX_MESH_HEAD_MAX bytes would
     * decide at the latest; NGX_DECLINED.
     */
    ngx_int_t       (*detect)(const ngx_mesh_codec_t *codec, u_char *p,
                              size_t n);

    /*
     * Reads a header from the first n bytes at p.  NGX_OK: *f is complete,
     * but for what f->check and f->late leave to whole(); NGX_AGAIN: more
     * bytes are needed, f->size says how many in all, NGX_MESH_HEAD_MAX at
     * most; NGX_ERROR: these bytes do not begin a frame, the stream is lost.
     */
    ngx_int_t       (*head)(const ngx_mesh_codec_t *codec, u_char *p, size_t n,
                            ngx_mesh_frame_t *f);

    /*
     * Completes *f, which head() has filled, from the whole frame at p, and
     * verifies checksums; called once for a frame with f->check set.  NGX_OK,
     * where f->bad says that the frame goes no further but is answered; or
     * NGX_ERROR: the frame makes no sense, the stream is lost.
     */
    ngx_int_t       (*whole)(const ngx_mesh_codec_t *codec, u_char *p,
                             ngx_mesh_frame_t *f);

    /*
     * Reads the facts named by "want" of a whole request frame at p.  The
     * first call for a frame needs facts zeroed but for the scratch pointers;
     * a later call with NGX_MESH_WANT_ATTACHMENTS goes on where the first one
     * stopped.  Never fails: what could not be read is absent.
     */
    void            (*facts)(const ngx_mesh_codec_t *codec, u_char *p,
                             ngx_mesh_frame_t *f, ngx_uint_t want,
                             ngx_mesh_facts_t *facts);

    /*
     * Finds one attachment (header) by name: case-insensitive, "_" in the
     * name matches any character that is not alphanumeric.  Needs attachments
     * to have been read.  Numbers and booleans come as text in the scratch.
     * NGX_OK or NGX_DECLINED.
     */
    ngx_int_t       (*attachment)(const ngx_mesh_codec_t *codec,
                                  ngx_mesh_facts_t *facts, ngx_str_t *name,
                                  ngx_str_t *value);

    /* NGX_MESH_RESULT_* of a whole response frame at p */
    ngx_uint_t      (*result)(const ngx_mesh_codec_t *codec, u_char *p,
                              ngx_mesh_frame_t *f);

    /*
     * Writes another id into a whole frame at p, its lower id_bits only;
     * f->id is still the old one, so that a checksum can be corrected, and is
     * updated.
     */
    void            (*set_id)(const ngx_mesh_codec_t *codec, u_char *p,
                              ngx_mesh_frame_t *f, uint64_t id);

    /*
     * The functions below write a frame of at most "size" bytes to dst and
     * return its length; 0 means that it does not fit or that the protocol
     * has no such frame.  256 bytes are enough for all of them, plus the
     * length of the text for error() and f->size for ack().
     */

    /* typed answer "err" with f's id, variant and serialization; the status
       is left in f->status.  NULL: a failed call can only be told by closing
       the connection. */
    size_t          (*error)(const ngx_mesh_codec_t *codec, u_char *dst,
                             size_t size, ngx_mesh_frame_t *f, ngx_uint_t err,
                             ngx_str_t *text);

    /* our own heartbeat; serial and variant from f, id from f->id */
    size_t          (*heartbeat)(const ngx_mesh_codec_t *codec, u_char *dst,
                                 size_t size, ngx_mesh_frame_t *f);

    /* answer to the whole heartbeat frame at p */
    size_t          (*ack)(const ngx_mesh_codec_t *codec, u_char *dst,
                           size_t size, u_char *p, ngx_mesh_frame_t *f);

    /* "no new calls, please": Dubbo READONLY; serial and variant from f */
    size_t          (*notice)(const ngx_mesh_codec_t *codec, u_char *dst,
                              size_t size, ngx_mesh_frame_t *f);

    /*
     * Writes the whole request at p to dst with its attachments (headers),
     * version or group changed; dst and the frame do not overlap.  Facts are
     * those of facts() for this frame, or zeroed but for the scratch: what
     * has not been read yet is read here; the scratch's rest has to hold a
     * service's name with the new version.  NGX_OK: *len is the new frame's
     * length, and f->size too; NGX_AGAIN: it does not fit, *len says how much
     * is needed, ngx_mesh_codec_edit_bound() at most; NGX_DECLINED: this
     * body, being damaged or of such a serialization, cannot be changed.
     * NULL: no request of the protocol can be.
     */
    ngx_int_t       (*edit)(const ngx_mesh_codec_t *codec, u_char *p,
                            ngx_mesh_frame_t *f, ngx_mesh_facts_t *facts,
                            const ngx_mesh_edit_t *edit, u_char *dst,
                            size_t size, size_t *len);

    void             *data;        /* declaration of a declared protocol */
};


/* the codecs built in, the last one NULL */
extern const ngx_mesh_codec_t  *ngx_mesh_codecs[];

/* the built-in codec of that name, or NULL */
const ngx_mesh_codec_t *ngx_mesh_codec_find(ngx_str_t *name);

/*
 * Which of the codecs (n of them, the more specific first) speaks on a
 * connection that begins with the "size" bytes at p.  NGX_OK: *codec is set;
 * NGX_AGAIN: more bytes will tell; NGX_DECLINED: none of them.
 */
ngx_int_t ngx_mesh_codec_detect(const ngx_mesh_codec_t **codecs, ngx_uint_t n,
    u_char *p, size_t size, const ngx_mesh_codec_t **codec);


/* no frame that edit() makes of f is longer */
size_t ngx_mesh_codec_edit_bound(ngx_mesh_frame_t *f,
    const ngx_mesh_edit_t *edit);


/* what else speaks first on a connection, and how to turn it away */

typedef struct {
    ngx_str_t         name;        /* "TLS", "HTTP/2", "HTTP" */
    ngx_str_t         answer;      /* bytes it understands as a refusal */
} ngx_mesh_foreign_t;

/* NULL: nothing known begins with these bytes */
const ngx_mesh_foreign_t *ngx_mesh_codec_foreign(u_char *p, size_t n);

/* "no_route" and so on, as $mesh_error shows it; empty for NGX_MESH_ERR_NONE */
ngx_str_t *ngx_mesh_codec_error_name(ngx_uint_t err);

/* attachment name match: case-insensitive, "_" for any non-alphanumeric;
   NGX_OK or NGX_DECLINED */
ngx_int_t ngx_mesh_codec_name_match(ngx_str_t *pattern, u_char *p, size_t len);


/* takes one character off *p; '?' for every byte that is not UTF-8 */
uint32_t ngx_mesh_utf8_next(u_char **p, u_char *end);

/* writes a character, or a surrogate as Hessian wants it */
u_char *ngx_mesh_utf8_put(u_char *p, uint32_t ch);


extern const ngx_mesh_codec_t  ngx_mesh_dubbo_codec;
extern const ngx_mesh_codec_t  ngx_mesh_bolt_codec;


#endif /* _NGX_MESH_CODEC_H_INCLUDED_ */
