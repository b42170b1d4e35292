/* A peer has read a little, so that something can be written: what WSAPoll says of it, and what send does. */
#include <stdio.h>
#include <winsock2.h>

int main(void)
{
    static char bytes[100000];
    WSADATA data;
    SOCKET door, writer, reader;
    struct sockaddr_in address = {0};
    int len = sizeof address, count, total = 0;
    u_long yes = 1;

    WSAStartup(0x202, &data);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    door = socket(AF_INET, SOCK_STREAM, 0);
    bind(door, (void *)&address, len);
    listen(door, 1);
    getsockname(door, (void *)&address, &len);
    writer = socket(AF_INET, SOCK_STREAM, 0);
    connect(writer, (void *)&address, len);
    reader = accept(door, NULL, NULL);
    ioctlsocket(writer, FIONBIO, &yes);
    /* What is on its way makes room once more. */
    for (int rounds = 0; rounds < 10; rounds++, Sleep(50))
        while ((count = send(writer, bytes, sizeof bytes, 0)) > 0)
            total += count;
    printf("taken: %d bytes\n", total);
    /* A twelfth of it. */
    for (int got = 0; got < total / 12; got += count)
        if ((count = recv(reader, bytes, sizeof bytes, 0)) <= 0)
            return 1;
    Sleep(200);
    WSAPOLLFD poll = {writer, POLLWRNORM, 0};
    count = WSAPoll(&poll, 1, 0);
    printf("WSAPoll says %d, %#x; send takes %d bytes\n", count, poll.revents, send(writer, bytes, sizeof bytes, 0));
    return 0;
}
