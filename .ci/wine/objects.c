/* Asks for counters anew, as the crate sysinfo does. It is linked with -lpdh, and not with -lws2_32. */
#include <windows.h>
#include <pdh.h>
#include <stdio.h>

int main(void)
{
    DWORD len = 0;
    PDH_STATUS status = PdhEnumObjectsA(NULL, NULL, NULL, &len, PERF_DETAIL_NOVICE, TRUE);
    printf("PdhEnumObjectsA: %lx, %lu bytes\n", (unsigned long)status, (unsigned long)len);
    return 0;
}
