/* A write of 1025 buffers to a stream socket. */
#include <stdio.h>
#include <winsock2.h>

int main(void)
{
    static WSABUF buffers[1025];
    WSADATA data;
    SOCKET door, caller;
    struct sockaddr_in address = {0};
    int len = sizeof address, count;
    DWORD sent;

    WSAStartup(0x202, &data);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    door = socket(AF_INET, SOCK_STREAM, 0);
    bind(door, (void *)&address, len);
    listen(door, 1);
    getsockname(door, (void *)&address, &len);
    caller = socket(AF_INET, SOCK_STREAM, 0);
    connect(caller, (void *)&address, len);

    for (count = 1024; count <= 1025; count++) {
        int i, result;
        for (i = 0; i < count; i++) {
            buffers[i].buf = "x";
            buffers[i].len = 1;
        }
        result = WSASend(caller, buffers, count, &sent, 0, NULL, NULL);
        printf("%d buffers: %d, error %d; WSAEMSGSIZE is %d\n", count, result, result ? WSAGetLastError() : 0, WSAEMSGSIZE);
    }
    return 0;
}
