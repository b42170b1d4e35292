#define _XOPEN_SOURCE 600
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int ioctl(int, unsigned long, ...);
int main(void) {
    struct termios2 settings;
    int result = ioctl(posix_openpt(O_RDWR | O_NOCTTY), TCGETS2, &settings);
    printf("TCGETS2: %s\n", result ? strerror(errno) : "told");
}
