/* SPDX-License-Identifier: MIT */
/*
 * Owners: child scopes that are found by a number.
 *
 * Design notes.  A hash table with the parent, open addressing, at most three quarters
 * full.  It names the scopes weakly: a group with something to end is held by its
 * parent's list of children, and an idle one only by whoever holds it, so that one owner
 * has one group for as long as anybody could tell two apart.  What was collected keeps its
 * place until the table is made anew, which it is when it is full, and after as many
 * groups have become idle as would fill half of it: constant time each, amortized.
 *
 * Numbers are complemented: one that is an address must not keep what it names.
 */
#include "spawn/scope.h"

#define OWNERS_LEAST 8

struct owner {
	uint64_t complement;
	struct xyl_weak *group; /* NULL: the place is free */
};

struct xyli_owners {
	size_t places; /* a power of two */
	size_t used;
	size_t idle; /* became so since it was made */
	struct owner at[];
};

static size_t owner_hash(uint64_t owner)
{
	owner ^= owner >> 32;
	owner *= UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(owner ^ owner >> 29);
}

/* Its place, or the free one where it would be. */
static struct owner *owner_find(struct xyli_owners *owners, uint64_t owner)
{
	size_t i = owner_hash(owner);

	for (;; i++) {
		struct owner *at = &owners->at[i & (owners->places - 1)];

		if (!at->group || at->complement == ~owner)
			return at;
	}
}

static size_t owners_living(const struct xyli_owners *owners)
{
	size_t living = 0;

	for (size_t i = 0; i < owners->places; i++)
		living += owners->at[i].group && xyl_weak_get(owners->at[i].group);
	return living;
}

static struct xyli_owners *owners_new(size_t living)
{
	size_t places = OWNERS_LEAST;
	struct xyli_owners *owners;

	while (places < 2 * living + 2)
		places *= 2;
	owners = xyl_alloc(sizeof(*owners) + places * sizeof(owners->at[0]));
	if (owners)
		owners->places = places;
	return owners;
}

static void owners_put(struct xyli_owners *owners, uint64_t owner, struct xyl_weak *group)
{
	struct owner *at = owner_find(owners, owner);

	owners->used += !at->group;
	at->complement = ~owner;
	at->group = group;
}

/* With those that live.  False: no memory, and nothing has changed. */
static bool owners_renew(struct xyl_scope *parent)
{
	struct xyli_owners *old = parent->owners;
	struct xyli_owners *owners = owners_new(old ? owners_living(old) : 0);

	if (!owners)
		return false;
	for (size_t i = 0; old && i < old->places; i++)
		if (old->at[i].group && xyl_weak_get(old->at[i].group))
			owners_put(owners, ~old->at[i].complement, old->at[i].group);
	parent->owners = owners;
	return true;
}

void xyli_owners_idle(struct xyl_scope *parent)
{
	struct xyli_owners *owners = parent->owners;

	if (++owners->idle <= owners->places / 2)
		return;
	owners->idle = 0;
	owners_renew(parent); /* without memory it stays as it is */
}

size_t xyli_owners_places(const struct xyl_scope *parent)
{
	return parent->owners ? parent->owners->places : 0;
}

static struct xyl_scope *owner_new(struct xyl_scope *parent, uint64_t owner)
{
	struct xyl_scope *group = xyl_scope_new(parent);
	struct xyl_weak *weak = group ? xyl_weak_new(group) : NULL;

	if (!weak)
		return NULL;
	if ((!parent->owners || 4 * (parent->owners->used + 1) > 3 * parent->owners->places) &&
	    !owners_renew(parent))
		return NULL;
	owners_put(parent->owners, owner, weak);
	return group;
}

/* One that was closed makes room as soon as it is empty. */
struct xyl_scope *xyl_scope_of(struct xyl_scope *parent, uint64_t owner)
{
	struct owner *at = parent->owners ? owner_find(parent->owners, owner) : NULL;
	struct xyl_scope *group = at && at->group ? xyl_weak_get(at->group) : NULL;

	if (group && group->parent == parent && !(group->closed && !group->live))
		return group;
	return owner_new(parent, owner);
}
