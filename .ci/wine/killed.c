/* A peer's process is ended in the middle of a conversation: whether a WSAPoll that waits for its socket comes back. */
#include <stdio.h>
#include <stdlib.h>
#include <winsock2.h>

static int echo(SOCKET socket)
{
    char bytes[100];
    u_long yes = 1;
    int count;

    ioctlsocket(socket, FIONBIO, &yes);
    for (;;) {
        count = recv(socket, bytes, sizeof bytes, 0);
        if (count > 0) {
            send(socket, bytes, count, 0);
            continue;
        }
        if (count == 0 || WSAGetLastError() != WSAEWOULDBLOCK)
            return 0;
        WSAPOLLFD poll = {socket, POLLRDNORM, 0};
        if (WSAPoll(&poll, 1, 2000) == 0) {
            count = WSAPoll(&poll, 1, 0);
            printf("nothing for 2 s; asked again, WSAPoll says %d, %#x\n", count, poll.revents);
            return 1;
        }
    }
}

static DWORD WINAPI thread(void *socket) { return echo((SOCKET)socket); }

int main(int argc, char **argv)
{
    WSADATA data;
    struct sockaddr_in address = {0};
    int len = sizeof address;

    WSAStartup(0x202, &data);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SOCKET door = socket(AF_INET, SOCK_STREAM, 0);
    if (argc > 1) {
        address.sin_port = atoi(argv[1]);
        for (int i = 0; i < 3; i++) {
            SOCKET s = socket(AF_INET, SOCK_STREAM, 0);
            connect(s, (void *)&address, len);
            CreateThread(NULL, 0, thread, (void *)s, 0, NULL);
        }
        connect(door, (void *)&address, len);
        return echo(door);
    }
    bind(door, (void *)&address, len);
    listen(door, 9);
    getsockname(door, (void *)&address, &len);
    int missed = 0;
    for (int round = 0; round < 40; round++) {
        char command[300];
        STARTUPINFOA info = {sizeof info};
        PROCESS_INFORMATION child;
        HANDLE threads[4];
        sprintf(command, "%s %d", argv[0], address.sin_port);
        CreateProcessA(NULL, command, NULL, NULL, FALSE, 0, NULL, NULL, &info, &child);
        for (int i = 0; i < 4; i++) {
            SOCKET s = accept(door, NULL, NULL);
            send(s, "a message", 9, 0);
            threads[i] = CreateThread(NULL, 0, thread, (void *)s, 0, NULL);
        }
        Sleep(20 + rand() % 20);
        TerminateProcess(child.hProcess, 1);
        for (int i = 0; i < 4; i++) {
            DWORD result;
            WaitForSingleObject(threads[i], INFINITE);
            GetExitCodeThread(threads[i], &result);
            missed += result;
        }
    }
    printf("missed %d of 160\n", missed);
    ExitProcess(0);
}
