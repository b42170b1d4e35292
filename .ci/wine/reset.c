/* A peer closes its socket with a linger time of 0: how is that told to who polls, and reads then? */
#include <stdio.h>
#include <winsock2.h>

int main(void)
{
    WSADATA data;
    SOCKET door, caller, accepted;
    struct sockaddr_in address = {0};
    int len = sizeof address, count;
    struct linger none = {1, 0};
    char byte;

    WSAStartup(0x202, &data);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    door = socket(AF_INET, SOCK_STREAM, 0);
    bind(door, (void *)&address, len);
    listen(door, 1);
    getsockname(door, (void *)&address, &len);
    caller = socket(AF_INET, SOCK_STREAM, 0);
    connect(caller, (void *)&address, len);
    accepted = accept(door, NULL, NULL);
    setsockopt(accepted, SOL_SOCKET, SO_LINGER, (void *)&none, sizeof none);
    closesocket(accepted);

    WSAPOLLFD polled = {caller, POLLRDNORM, 0};
    WSAPoll(&polled, 1, 5000);
    count = recv(caller, &byte, 1, 0);
    printf("WSAPoll: %x; recv: %d, error %d; WSAECONNRESET is %d\n", polled.revents, count,
           count < 0 ? WSAGetLastError() : 0, WSAECONNRESET);
    return 0;
}
