/* order.h - keeping the list of nodes a legal order; only graph.c calls these. */
#ifndef GRAFT_ORDER_H
#define GRAFT_ORDER_H

#include "graph.h"

void order_insert(Graph *g, Node *n, Node *before, bool inside);      /* see NodeSpec.before */
void order_remove(Graph *g, Node *n);
void order_repair(Graph *g, Node *made);              /* users of made that stand in front of it go behind it */

#endif
