/* Draws the banner. phyllome_seat/lab/banner.py draws the same one, to the byte: a test compares them,
 * so every formula stands here as it stands there. The letters come from guest-font.txt, as short lines. */
#include "guest-banner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "guest-font.h" /* made from guest-font.txt: struct glyph, GLYPHS, FONT_UNIT, find_glyph's data */

static const double LETTER_GAP = 1.9; /* between letters, in font units */
static const double STROKE = 1.15;    /* thickness of a line, in font units */

static const struct glyph *find_glyph(char letter)
{
    for (size_t i = 0; i < sizeof GLYPHS / sizeof *GLYPHS; i++)
        if (GLYPHS[i].letter == letter)
            return &GLYPHS[i];
    return NULL;
}

static double text_width(const char *text)
{
    double width = 0;
    for (const char *c = text; *c; c++) {
        const struct glyph *glyph = find_glyph(*c);
        width += (glyph ? (double)glyph->width / FONT_UNIT : 2.0) + LETTER_GAP;
    }
    return width > 0 ? width - LETTER_GAP : 0;
}

/* Background of a name: its FNV-1a hash picks one of 360 hues, dark enough for white letters. */
static void name_colour(const char *name, int rgb[3])
{
    uint32_t hash = 2166136261u;
    for (const char *c = name; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    int hue = (int)((hash ^ hash >> 11) % 360), low = 38, high = 128;
    int rising = low + (high - low) * (hue % 60) / 60, falling = low + high - rising;
    int parts[6][3] = {{high, rising, low}, {falling, high, low}, {low, high, rising},
                       {low, falling, high}, {rising, low, high}, {high, low, falling}};
    memcpy(rgb, parts[hue / 60], sizeof parts[0]);
}

/* Marks in COVER (0 to 255 a pixel) the line from (x1,y1) to (x2,y2) with round ends. */
static void draw_line(unsigned char *cover, int width, int height, double x1, double y1, double x2,
                      double y2, double radius)
{
    double dx = x2 - x1, dy = y2 - y1, length2 = dx * dx + dy * dy;
    int left = (int)fmax(0, floor(fmin(x1, x2) - radius - 1));
    int right = (int)fmin(width - 1, ceil(fmax(x1, x2) + radius + 1));
    int top = (int)fmax(0, floor(fmin(y1, y2) - radius - 1));
    int bottom = (int)fmin(height - 1, ceil(fmax(y1, y2) + radius + 1));
    for (int y = top; y <= bottom; y++)
        for (int x = left; x <= right; x++) {
            double px = x + 0.5 - x1, py = y + 0.5 - y1;
            double along = length2 > 0 ? fmin(1, fmax(0, (px * dx + py * dy) / length2)) : 0;
            double ex = px - along * dx, ey = py - along * dy;
            double near = radius + 0.5 - sqrt(ex * ex + ey * ey);
            int value = (int)(fmin(1, fmax(0, near)) * 255);
            if (value > cover[y * width + x])
                cover[y * width + x] = (unsigned char)value;
        }
}

/* Marks TEXT in COVER, centred, its letters' top (of "l") at TOP, SCALE pixels a font unit. */
static void draw_text(unsigned char *cover, int width, int height, const char *text, double top,
                      double scale)
{
    double pen = (width - text_width(text) * scale) / 2;
    for (const char *c = text; *c; c++) {
        const struct glyph *glyph = find_glyph(*c);
        for (int i = 0; glyph && i < glyph->count; i++) {
            const short *s = SEGMENTS[glyph->first + i];
            draw_line(cover, width, height, pen + s[0] * scale / FONT_UNIT,
                      top + s[1] * scale / FONT_UNIT, pen + s[2] * scale / FONT_UNIT,
                      top + s[3] * scale / FONT_UNIT, STROKE * scale / 2);
        }
        pen += ((glyph ? (double)glyph->width / FONT_UNIT : 2.0) + LETTER_GAP) * scale;
    }
}

static void paint(uint32_t *pixels, int width, int height, int stride, const char *name,
                  const unsigned char *cover, int from, int to)
{
    int colour[3];
    name_colour(name, colour);
    for (int y = from; y < to; y++)
        for (int x = 0; x < width; x++) {
            uint32_t pixel = 0;
            for (int i = 0; i < 3; i++) {
                int back = colour[i] * (2 * height - y) / (2 * height), c = cover[y * width + x];
                pixel = pixel << 8 | (uint32_t)((back * (255 - c) + 250 * c) / 255);
            }
            pixels[y * stride + x] = pixel;
        }
}

void draw_banner(uint32_t *pixels, int width, int height, int stride, const char *name)
{
    unsigned char *cover = calloc((size_t)width, (size_t)height);
    if (!cover)
        return;
    double scale = fmin(0.8 * width / fmax(text_width(name), 1), 0.035 * height);
    draw_text(cover, width, height, name, 0.45 * height - 4.5 * scale, scale);
    draw_text(cover, width, height, "phyllome seat", 0.08 * height, 0.005 * height);
    paint(pixels, width, height, stride, name, cover, 0, height);
    free(cover);
}

void draw_typed(uint32_t *pixels, int width, int height, int stride, const char *name,
                const char *text)
{
    unsigned char *cover = calloc((size_t)width, (size_t)height);
    if (!cover)
        return;
    double scale = fmin(0.9 * width / fmax(text_width(text), 1), 0.01 * height);
    draw_text(cover, width, height, text, 0.8 * height, scale);
    paint(pixels, width, height, stride, name, cover, 3 * height / 4, height);
    free(cover);
}
