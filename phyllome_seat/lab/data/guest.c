/* The first and only program of the lab's small guest: it says what its machine has and what is typed
 * there, and draws its seat's name on the machine's screens. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

static int console = 1;

void say(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 2)
        length = (int)sizeof line - 2;
    line[length++] = '\n';
    for (int done = 0; done < length;) {
        ssize_t written = write(console, line + done, (size_t)(length - done));
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return;
        done += written > 0 ? (int)written : 0;
    }
}

const char *quote(const char *text, char *quoted, int size)
{
    int at = 0;
    quoted[at++] = '"';
    for (const unsigned char *c = (const unsigned char *)text; *c && at < size - 6; c++)
        if (*c < ' ' || *c > '~' || *c == '"' || *c == '\\')
            at += sprintf(quoted + at, "\\x%02x", *c);
        else
            quoted[at++] = (char)*c;
    strcpy(quoted + at, "\"");
    return quoted;
}

char *read_line(const char *path, char *line, int size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, line, (size_t)size - 1);
    line[length > 0 ? length : 0] = 0;
    line[strcspn(line, "\n")] = 0;
    if (file >= 0)
        close(file);
    return line;
}

static void mount_kernel(void)
{
    mkdir("/proc", 0755), mkdir("/sys", 0755), mkdir("/dev", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
}

/* Makes the serial port our console: lines end in one newline, nothing is echoed. */
static void open_console(void)
{
    int serial = open("/dev/ttyS0", O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios terminal;
    if (serial < 0 || tcgetattr(serial, &terminal) < 0)
        return;
    cfmakeraw(&terminal);
    cfsetspeed(&terminal, B115200);
    tcsetattr(serial, TCSANOW, &terminal);
    console = serial;
}

/* Returns the value of KEY= on the kernel's command line, "" when it is not there. */
static const char *boot_option(const char *key)
{
    static char line[2048], value[64];
    read_line("/proc/cmdline", line, sizeof line);
    value[0] = 0;
    for (char *word = strtok(line, " "); word; word = strtok(NULL, " "))
        if (!strncmp(word, key, strlen(key)) && word[strlen(key)] == '=')
            snprintf(value, sizeof value, "%s", word + strlen(key) + 1);
    return value;
}

/* Loads /modules in the order of /modules/order: a line is a file's name and its parameters. */
static void load_modules(void)
{
    char line[128], path[160];
    FILE *order = fopen("/modules/order", "re");
    while (order && fgets(line, sizeof line, order)) {
        line[strcspn(line, "\n")] = 0;
        char *parameters = strchr(line, ' ');
        if (parameters)
            *parameters++ = 0;
        snprintf(path, sizeof path, "/modules/%s", line);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0 || (syscall(SYS_finit_module, file, parameters ? parameters : "", 0) < 0 &&
                         errno != EEXIST))
            say("module %s refused: %s", line, strerror(errno));
        if (file >= 0)
            close(file);
    }
    if (order)
        fclose(order);
}

/* Prints each PCI function: address, vendor:device, class, as sysfs gives them (lower-case hex). */
static void name_pci(void)
{
    struct dirent **functions;
    int count = scandir("/sys/bus/pci/devices", &functions, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char *address = functions[i]->d_name, path[320], vendor[16], device[16], kind[16];
        if (address[0] == '.')
            continue;
        snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/vendor", address);
        read_line(path, vendor, sizeof vendor);
        snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/device", address);
        read_line(path, device, sizeof device);
        snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/class", address);
        read_line(path, kind, sizeof kind);
        if (strlen(vendor) > 2 && strlen(device) > 2 && strlen(kind) > 2)
            say("pci %s %s:%s %s", address, vendor + 2, device + 2, kind + 2);
    }
}

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Ready is when no input device came for a second: USB devices are found one after the other, and the
 * kernel does not say which is the last. */
static void follow(int stubborn)
{
    const long long settle_ms = 1000;
    long long changed = now_ms();
    char drawn[32] = "";
    for (int ready = 0;;) {
        if (read_inputs(ready ? -1 : 100))
            changed = now_ms();
        if (!ready && now_ms() - changed >= settle_ms) {
            ready = 1;
            say("ready %lld", now_ms());
        }
        if (strcmp(drawn, typed_text())) {
            snprintf(drawn, sizeof drawn, "%s", typed_text());
            draw_typed_text(drawn);
        }
        if (power_pressed() && !stubborn)
            return;
    }
}

int main(void)
{
    char boot[64], seat[64];
    struct utsname kernel;
    if (getpid() != 1) { /* by mistake on a real machine: it would be powered off */
        say("this is the first program of the lab's guest, and nothing else");
        return 1;
    }
    mount_kernel();
    open_console();
    uname(&kernel);
    snprintf(seat, sizeof seat, "%s", boot_option("phyllome.seat"));
    read_line("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    say("guest seat=%s boot=%s kernel=%s", seat, boot, kernel.release);
    open_inputs();
    load_modules();
    name_pci();
    draw_cards(seat);
    follow(!strcmp(boot_option("phyllome.stubborn"), "1"));
    say("bye");
    tcdrain(console);
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}
