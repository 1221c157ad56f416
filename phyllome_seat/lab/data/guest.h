/* The parts of the lab's small guest, and how it speaks: one line per fact on the serial console. */
#ifndef GUEST_H
#define GUEST_H

/* Prints one line on the serial console, at once. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/* Copies TEXT into QUOTED between quotation marks; what is not plain ASCII becomes \xNN. */
const char *quote(const char *text, char *quoted, int size);

/* Reads the first line of a small file into LINE; returns LINE, empty when it cannot be read. */
char *read_line(const char *path, char *line, int size);

/* input: the evdev nodes, their coming, going and events */
int open_inputs(void);        /* starts following /dev/input; returns what to poll for changes */
void follow_inputs(void);     /* names the nodes that came since */
int read_inputs(int wait_ms); /* prints events for at most so long; 1 when a node came or went */
int power_pressed(void);      /* whether the machine's own power button was pressed */
const char *typed_text(void); /* the letters, digits and hyphens typed so far, the last 24 */

/* card: every /dev/dri/card*, through dumb buffers and legacy mode setting */
void draw_cards(const char *name); /* prints what it found, `no card` when none */
void draw_typed_text(const char *text);

#endif
