/* Follows every input device: prints the device when it comes, each of its events, and its going. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest-codes.h" /* made from linux/input-event-codes.h: struct code, CODES */
#include "guest.h"

enum { MOST = 64 };

static struct node {
    char name[32];
    int power_button;
} nodes[MOST];
static struct pollfd polled[MOST + 1]; /* one a node; the last, at [count], is the directory's */
static int count, directory = -1, pressed;
static char typed[25];

/* Prints the device: `input event3 0627:0001 name="..." phys="..." uniq="..."`. */
static void name_node(struct node *node, int file)
{
    char name[256] = "", phys[256] = "", uniq[256] = "", quoted[3][512];
    struct input_id id = {0};
    ioctl(file, EVIOCGID, &id);
    ioctl(file, EVIOCGNAME(sizeof name - 1), name);
    ioctl(file, EVIOCGPHYS(sizeof phys - 1), phys);
    ioctl(file, EVIOCGUNIQ(sizeof uniq - 1), uniq);
    /* ACPI's fixed and its control-method power button (drivers/acpi/button.c names them so). */
    node->power_button = !strncmp(phys, "LNXPWRBN", 8) || !strncmp(phys, "PNP0C0C", 7);
    say("input %s %04x:%04x name=%s phys=%s uniq=%s", node->name, id.vendor, id.product,
        quote(name, quoted[0], 512), quote(phys, quoted[1], 512), quote(uniq, quoted[2], 512));
}

static int known(const char *name)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(nodes[i].name, name))
            return 1;
    return 0;
}

void follow_inputs(void)
{
    struct dirent **entries;
    char path[300];
    int found = scandir("/dev/input", &entries, NULL, versionsort);
    for (int i = 0; i < found; i++) {
        const char *name = entries[i]->d_name;
        if (strncmp(name, "event", 5) || strlen(name) >= sizeof nodes->name || known(name) ||
            count == MOST)
            continue;
        snprintf(path, sizeof path, "/dev/input/%s", name);
        int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (file < 0)
            continue;
        strcpy(nodes[count].name, name);
        name_node(&nodes[count], file);
        polled[count] = (struct pollfd){.fd = file, .events = POLLIN};
        count++;
        polled[count] = (struct pollfd){.fd = directory, .events = POLLIN};
    }
}

int open_inputs(void)
{
    mkdir("/dev/input", 0755); /* before the kernel makes it for its first node: watched from the start */
    directory = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    inotify_add_watch(directory, "/dev/input", IN_CREATE);
    polled[0] = (struct pollfd){.fd = directory, .events = POLLIN};
    follow_inputs();
    return directory;
}

static void forget(int index)
{
    say("gone %s", nodes[index].name);
    close(polled[index].fd);
    memmove(nodes + index, nodes + index + 1, sizeof *nodes * (size_t)(count - index - 1));
    memmove(polled + index, polled + index + 1, sizeof *polled * (size_t)(count - index));
    count--;
}

static const char *code_name(int type, int code, char *number)
{
    for (size_t i = 0; i < sizeof CODES / sizeof *CODES; i++)
        if (CODES[i].type == type && CODES[i].code == code)
            return CODES[i].name;
    sprintf(number, "%d", code);
    return number;
}

static void remember(const char *key)
{
    size_t length = strlen(typed);
    if (strncmp(key, "KEY_", 4))
        return;
    if (!strcmp(key, "KEY_BACKSPACE") && length)
        typed[length - 1] = 0;
    char letter = !strcmp(key, "KEY_MINUS") ? '-' : !strcmp(key, "KEY_SPACE") ? ' ' : key[4];
    if (letter != '-' && letter != ' ' && strlen(key) != 5)
        return;
    if (letter >= 'A' && letter <= 'Z')
        letter = (char)(letter - 'A' + 'a');
    if (length == sizeof typed - 1)
        memmove(typed, typed + 1, length--);
    typed[length] = letter;
    typed[length + 1] = 0;
}

/* Prints `event NODE TYPE CODE VALUE`. EV_SYN is left out but for SYN_DROPPED (events were lost): it
 * only says that a report ends, and doubles what the serial port has to carry. */
static void name_event(struct node *node, const struct input_event *event)
{
    char type[16], code[16];
    if (event->type == EV_SYN && event->code != SYN_DROPPED)
        return;
    const char *name = code_name(event->type, event->code, code);
    say("event %s %s %s %d", node->name, code_name(-1, event->type, type), name, event->value);
    if (event->type != EV_KEY || !event->value)
        return;
    if (node->power_button && event->code == KEY_POWER)
        pressed = 1;
    else
        remember(name);
}

int read_inputs(int wait_ms)
{
    int changed = 0;
    poll(polled, (nfds_t)count + 1, wait_ms);
    for (int i = count - 1; i >= 0; i--) {
        struct input_event events[64];
        ssize_t length = read(polled[i].fd, events, sizeof events);
        for (int k = 0; length > 0 && k < (int)(length / (ssize_t)sizeof *events); k++)
            name_event(&nodes[i], &events[k]);
        if (length < 0 && errno != EAGAIN && errno != EINTR) {
            forget(i);
            changed = 1;
        }
    }
    char news[4096];
    int before = count;
    while (read(directory, news, sizeof news) > 0)
        ;
    follow_inputs();
    return changed || count != before;
}

int power_pressed(void)
{
    int was = pressed;
    pressed = 0;
    return was;
}

const char *typed_text(void)
{
    return typed;
}
