/* How many questions keepalive asks, which Windows knows from version 10 1703 on. */
#include <stdio.h>
#include <winsock2.h>

int main(void)
{
    enum { KEEPCNT = 16 }; /* TCP_KEEPCNT */
    WSADATA data;
    SOCKET s;
    DWORD three = 3;
    int result;

    WSAStartup(0x202, &data);
    s = socket(AF_INET, SOCK_STREAM, 0);
    result = setsockopt(s, IPPROTO_TCP, KEEPCNT, (void *)&three, sizeof three);
    printf("setsockopt: %d, error %d; WSAENOPROTOOPT is %d\n", result, result ? WSAGetLastError() : 0, WSAENOPROTOOPT);
    return 0;
}
