
/*
 * Copyright (C) nginx-mesh authors
 *
 * Trees of nginx, as they are used, but not balanced.
 */


#include "unit.h"


static uint32_t   stub_crc32[256];
uint32_t         *ngx_crc32_table_short = stub_crc32;
uint32_t          ngx_crc32_table256[256] = { 0, 1, 7, 3 };


void
ngx_rbtree_insert(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    node->left = tree->sentinel;
    node->right = tree->sentinel;
    node->parent = NULL;

    if (tree->root == tree->sentinel) {
        tree->root = node;
        return;
    }

    tree->insert(tree->root, node, tree->sentinel);
}


void
ngx_str_rbtree_insert_value(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    int                  c;
    ngx_str_t           *a, *b;
    ngx_rbtree_node_t  **p;

    for ( ;; ) {
        a = &((ngx_str_node_t *) node)->str;
        b = &((ngx_str_node_t *) temp)->str;

        c = a->len != b->len ? (a->len < b->len ? -1 : 1)
                             : ngx_memcmp(a->data, b->data, a->len);
        p = c < 0 ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
}


ngx_str_node_t *
ngx_str_rbtree_lookup(ngx_rbtree_t *tree, ngx_str_t *name, uint32_t hash)
{
    int                 c;
    ngx_str_t          *s;
    ngx_rbtree_node_t  *node;

    for (node = tree->root; node != tree->sentinel; ) {
        s = &((ngx_str_node_t *) node)->str;

        c = name->len != s->len ? (name->len < s->len ? -1 : 1)
                                : ngx_memcmp(name->data, s->data, name->len);
        if (c == 0) {
            return (ngx_str_node_t *) node;
        }

        node = c < 0 ? node->left : node->right;
    }

    return NULL;
}


static void
stub_replace(ngx_rbtree_t *tree, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *by)
{
    if (node->parent == NULL) {
        tree->root = by;

    } else if (node->parent->left == node) {
        node->parent->left = by;

    } else {
        node->parent->right = by;
    }

    if (by != tree->sentinel) {
        by->parent = node->parent;
    }
}


void
ngx_rbtree_delete(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    ngx_rbtree_node_t  *next;

    if (node->left == tree->sentinel) {
        stub_replace(tree, node, node->right);
        return;
    }

    if (node->right == tree->sentinel) {
        stub_replace(tree, node, node->left);
        return;
    }

    next = ngx_rbtree_min(node->right, tree->sentinel);

    if (next->parent != node) {
        stub_replace(tree, next, next->right);
        next->right = node->right;
        next->right->parent = next;
    }

    stub_replace(tree, node, next);
    next->left = node->left;
    next->left->parent = next;
}


ngx_rbtree_node_t *
ngx_rbtree_next(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    ngx_rbtree_node_t  *parent;

    if (node->right != tree->sentinel) {
        return ngx_rbtree_min(node->right, tree->sentinel);
    }

    for (parent = node->parent; parent && parent->right == node;
         parent = node->parent)
    {
        node = parent;
    }

    return parent;
}
