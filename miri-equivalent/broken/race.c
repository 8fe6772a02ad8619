/* SPDX-License-Identifier: MIT */
/*
 * Two threads change one word of a collected object.
 *
 * tsan: data race
 * helgrind: Possible data race
 */
#include <pthread.h>
#include <xylem/xylem.h>

static pthread_barrier_t begin, end; /* two: the first must not order the loops */
static volatile long *counter;

static void *count(void *unused)
{
	if (xyl_thread_attach() < 0)
		return unused;
	pthread_barrier_wait(&begin);
	for (int i = 0; i < 1000; i++)
		++*counter;
	pthread_barrier_wait(&end);
	xyl_thread_detach();
	return NULL;
}

int main(void)
{
	pthread_t threads[2];

	counter = xyl_new(long);
	pthread_barrier_init(&begin, NULL, 2);
	pthread_barrier_init(&end, NULL, 2);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, count, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
