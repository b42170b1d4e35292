#include <pthread.h>
#include <stdio.h>
static void *nothing(void *p) { return p; }
static long resident(void) {
    long total, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &total, &resident) != 2) return -1;
    fclose(file);
    return resident * 4;
}
int main(void) {
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 1000; i++) {
            pthread_t thread;
            if (pthread_create(&thread, 0, nothing, 0)) return 1;
            pthread_join(thread, 0);
        }
        printf("%d threads have ended: %ld KiB resident\n", (round + 1) * 1000, resident());
    }
}
