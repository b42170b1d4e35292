/* A caller is gone by a reset before it is accepted, by a call that asks for its address. */
#include <stdio.h>
#include <winsock2.h>

int main(void)
{
    WSADATA data;
    SOCKET door, caller, accepted;
    struct sockaddr_in address = {0};
    int len = sizeof address;
    struct linger none = {1, 0};

    WSAStartup(0x202, &data);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    door = socket(AF_INET, SOCK_STREAM, 0);
    bind(door, (void *)&address, len);
    listen(door, 1);
    getsockname(door, (void *)&address, &len);
    caller = socket(AF_INET, SOCK_STREAM, 0);
    connect(caller, (void *)&address, len);
    setsockopt(caller, SOL_SOCKET, SO_LINGER, (void *)&none, sizeof none);
    closesocket(caller);
    Sleep(200);

    accepted = accept(door, (void *)&address, &len);
    printf("accept: %s, error %d; WSAENOTCONN is %d\n", accepted == INVALID_SOCKET ? "no socket" : "a socket",
           accepted == INVALID_SOCKET ? WSAGetLastError() : 0, WSAENOTCONN);
    return 0;
}
