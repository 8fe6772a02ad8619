/* SPDX-License-Identifier: MIT */
/*
 * The program's roots.
 *
 * Design notes.  The number of a root's table is the top byte of its slot.  Table 0
 * is shared by all threads that run no shard, under a lock; every shard has a table
 * of its own, where adding and dropping takes none.  Tables outlive their shards: a
 * root that is still held when its shard stops keeps its object, and the next shard
 * takes the table over with it.
 */
#include "roots/root.h"

#include <pthread.h>
#include <stdlib.h>

#include "gc/heap.h"
#include "gc/print.h"
#include "roots/table.h"
#include "xylem/xylem.h"

#define TABLES 256
#define TABLE_SHIFT 24
#define SLOT_MASK (XYLI_TABLE_MAX - 1)

struct tables {
	struct xyli_table table[TABLES];
#ifdef XYL_CHECK
	const char **where[TABLES]; /* who took it, by slot */
	uint32_t where_cap[TABLES];
#endif
};

static struct tables *tables; /* pinned: a static pointer alone may not be scanned */
static bool tables_reserved[TABLES] = { true };
static pthread_mutex_t tables_lock =
	PTHREAD_MUTEX_INITIALIZER; /* the flags, and adding to table 0 */
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;
static _Thread_local unsigned tables_mine; /* 0: this thread shares */

static void tables_init(void)
{
	struct tables *all = xyli_heap_pin(sizeof(*all));

	if (!all)
		abort();
	for (int i = 0; i < TABLES; i++)
		xyli_table_init(&all->table[i]);
	tables = all;
}

static struct xyli_table *table_of(unsigned number)
{
	pthread_once(&tables_once, tables_init);
	return &tables->table[number];
}

int xyli_roots_reserve(void)
{
	int number = -1;

	table_of(0);
	pthread_mutex_lock(&tables_lock);
	for (int i = 1; i < TABLES && number < 0; i++)
		if (!tables_reserved[i])
			number = i;
	if (number > 0)
		tables_reserved[number] = true;
	pthread_mutex_unlock(&tables_lock);
	return number;
}

void xyli_roots_release(int number)
{
	if (number <= 0)
		return;
	pthread_mutex_lock(&tables_lock);
	tables_reserved[number] = false;
	pthread_mutex_unlock(&tables_lock);
}

void xyli_roots_enter(int number)
{
	tables_mine = number > 0 ? (unsigned)number : 0;
}

void xyli_roots_leave(void)
{
	tables_mine = 0;
}

/* ---- add, get, drop ------------------------------------------------------------ */

static inline __attribute__((always_inline)) xyl_root root_take(unsigned number, void *obj)
{
	xyl_root root = { 0, 0 };
	uint32_t slot = xyli_table_take_as(&tables->table[number], obj, &root.generation);

	if (slot != XYLI_TABLE_NONE)
		root.slot = (uint32_t)(number << TABLE_SHIFT) | slot;
	return root;
}

static xyl_root root_add_shared(void *obj)
{
	xyl_root root;

	table_of(0);
	pthread_mutex_lock(&tables_lock);
	root = root_take(0, obj);
	pthread_mutex_unlock(&tables_lock);
	return root;
}

xyl_root(xyl_root_add)(void *obj)
{
	unsigned number = tables_mine;

	if (__builtin_expect(number == 0, 0))
		return root_add_shared(obj);
	return root_take(number, obj);
}

void *xyl_root_get(xyl_root root)
{
	if (!root.generation)
		return NULL;
	return xyli_table_get(&tables->table[root.slot >> TABLE_SHIFT], root.slot & SLOT_MASK,
			      root.generation);
}

void xyl_root_drop(xyl_root *root)
{
	unsigned number = root->slot >> TABLE_SHIFT;
	uint32_t slot = root->slot & SLOT_MASK;
	uint32_t generation = root->generation;

	if (!generation)
		return;
	*root = (xyl_root){ 0, 0 };
	if (number != 0 && number == tables_mine)
		xyli_table_clear(&tables->table[number], slot, generation);
	else
		xyli_table_clear_away(&tables->table[number], slot, generation);
}

size_t xyl_root_count(void)
{
	size_t count = 0;

	table_of(0);
	for (int i = 0; i < TABLES; i++)
		count += xyli_table_count(&tables->table[i]);
	return count;
}

size_t xyli_roots_room(void)
{
	size_t room = 0;

	table_of(0);
	for (int i = 0; i < TABLES; i++)
		room += tables->table[i].slots.cap;
	return room;
}

/* ---- printing ------------------------------------------------------------------ */

#ifdef XYL_CHECK
static pthread_mutex_t where_lock = PTHREAD_MUTEX_INITIALIZER;

/* Remember who took a slot.  Losing a name for want of memory is no error. */
static void root_note(xyl_root root, const char *where)
{
	unsigned number = root.slot >> TABLE_SHIFT;
	uint32_t slot = root.slot & SLOT_MASK, cap;
	const char **names;

	pthread_mutex_lock(&where_lock);
	cap = tables->where_cap[number];
	if (root.generation && slot >= cap) {
		names = realloc(tables->where[number], 2 * (slot + 64) * sizeof(*names));
		if (names)
			for (uint32_t i = cap; i < 2 * (slot + 64); i++)
				names[i] = NULL;
		if (names)
			tables->where[number] = names,
			tables->where_cap[number] = cap = 2 * (slot + 64);
	}
	if (root.generation && slot < cap)
		tables->where[number][slot] = where;
	pthread_mutex_unlock(&where_lock);
}

xyl_root xyli_root_add_at(void *obj, const char *where)
{
	xyl_root root = (xyl_root_add)(obj);

	root_note(root, where);
	return root;
}

static const char *root_where(unsigned number, uint32_t slot)
{
	const char *where = NULL;

	pthread_mutex_lock(&where_lock);
	if (slot < tables->where_cap[number])
		where = tables->where[number][slot];
	pthread_mutex_unlock(&where_lock);
	return where ? where : "";
}
#else
static const char *root_where(unsigned number, uint32_t slot)
{
	(void)number;
	(void)slot;
	return "";
}
#endif

struct dump {
	int fd, error;
	unsigned table;
};

static void dump_root(uint32_t slot, void *obj, void *arg)
{
	struct dump *dump = arg;
	const char *where = root_where(dump->table, slot);

	if (!dump->error)
		dump->error = xyli_print(dump->fd, "root %u.%u -> %p%s%s\n", dump->table, slot, obj,
					 *where ? " taken at " : "", where);
}

int xyl_dump_roots(int fd)
{
	struct dump dump = { .fd = fd };
	size_t count = 0;

	table_of(0);
	pthread_mutex_lock(&tables_lock);
	for (; dump.table < TABLES; dump.table++)
		count += xyli_table_visit(&tables->table[dump.table], dump_root, &dump);
	pthread_mutex_unlock(&tables_lock);
	return dump.error ? dump.error : (int)count;
}
