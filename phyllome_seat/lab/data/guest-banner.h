/* The banner: a seat's name, large, on a colour of its own. */
#ifndef GUEST_BANNER_H
#define GUEST_BANNER_H

#include <stdint.h>

/* Draws the banner of NAME into a picture of 0x00RRGGBB pixels, STRIDE pixels from row to row. */
void draw_banner(uint32_t *pixels, int width, int height, int stride, const char *name);

/* Draws TEXT (what was typed here) into the banner's lower part, in place of what was there. */
void draw_typed(uint32_t *pixels, int width, int height, int stride, const char *name,
                const char *text);

#endif
