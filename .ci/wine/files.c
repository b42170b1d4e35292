/* A file that is open, in a way that lets others rename and remove it, is renamed over another one, and removed. */
#include <stdio.h>
#include <windows.h>

static void tell(const char *what, HANDLE file)
{
    BY_HANDLE_FILE_INFORMATION is = {0};
    GetFileInformationByHandle(file, &is);
    printf("%s: volume %lx, %lu links\n", what, is.dwVolumeSerialNumber, is.nNumberOfLinks);
}

int main(void)
{
    DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    HANDLE open = CreateFileA("one.tmp", GENERIC_WRITE, share, NULL, CREATE_ALWAYS, 0, NULL);
    HANDLE replaced = CreateFileA("two.tmp", GENERIC_WRITE, share, NULL, CREATE_ALWAYS, 0, NULL);
    HANDLE again;
    BOOL moved;

    tell("made", open);
    moved = MoveFileExA("one.tmp", "two.tmp", MOVEFILE_REPLACE_EXISTING);
    printf("renamed over one that is open: %s, error %lu\n", moved ? "yes" : "no", moved ? 0 : GetLastError());
    CloseHandle(replaced);
    MoveFileExA("one.tmp", "two.tmp", MOVEFILE_REPLACE_EXISTING);
    tell("renamed", open);
    DeleteFileA("two.tmp");
    tell("removed", open);
    again = CreateFileA("two.tmp", GENERIC_READ, share, NULL, OPEN_EXISTING, 0, NULL);
    printf("opened after it was removed: %s\n", again == INVALID_HANDLE_VALUE ? "no" : "yes");
    return 0;
}
