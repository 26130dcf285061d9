/* torch_spell.h - nodes of ours as nodes of a torch.export file. */
#ifndef GRAFT_TORCH_SPELL_H
#define GRAFT_TORCH_SPELL_H

#include "torch.h"

typedef struct Speller {
	Job *job;
	Graph *g;
	const Torch *t;
	uint32_t next[OP_COUNT];              /* of names for nodes of that op; 0: not looked for yet */
} Speller;

/* Why a node, which need not be in the graph, cannot be written; NULL: it can. Changes nothing. */
const char *torch_spell_refuses(Arena *a, const Torch *t, Graph *g, const Node *n);

/* One element of `nodes`. Fails with GRAFT_E_UNSUPPORTED when torch has no op that does the same. */
void torch_spell_node(Speller *s, Text *t, const Node *n);
/* The metadata object of a node that replaces these nodes of the file; {} when they have none. */
void torch_spell_metadata(Arena *scratch, const Torch *t, const SourceNode *const *from, size_t n, Text *out);
/* What tensor_values says of a value: dense, on the device of the graph's other tensors. */
void torch_spell_meta(Speller *s, Text *t, const Value *v);

#endif
