#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    uint64_t cookie;
    socklen_t len = sizeof cookie;
    int result = getsockopt(listener, SOL_SOCKET, 57 /* SO_COOKIE */, &cookie, &len);
    printf("SO_COOKIE: %s\n", result ? strerror(errno) : "told");
    int diag = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG);
    printf("NETLINK_SOCK_DIAG: %s\n", diag < 0 ? strerror(errno) : "opened");
}
