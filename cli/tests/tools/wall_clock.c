/* Preloaded, sets the wall clock of a process: as many seconds on as the file that WALL_CLOCK names says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int (*original)(clockid_t, struct timespec *);
    *(void **)&original = dlsym(RTLD_NEXT, "clock_gettime");
    int outcome = original(clock, time);
    const char *path = getenv("WALL_CLOCK");
    FILE *file = clock == CLOCK_REALTIME && path ? fopen(path, "r") : NULL;
    long seconds = 0;
    if (file) {
        if (fscanf(file, "%ld", &seconds) == 1)
            time->tv_sec += seconds;
        fclose(file);
    }
    return outcome;
}
