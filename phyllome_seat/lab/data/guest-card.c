/* Draws the banner on every connected output of every card: a dumb buffer each, shown by legacy mode
 * setting (kernel documentation, "Kernel Mode Setting"; drm-kms(7)). No library: ioctls only. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libdrm/drm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest-banner.h"
#include "guest.h"

enum { MOST = 16 };

static struct screen {
    int card;
    uint32_t framebuffer, *pixels;
    int width, height, stride;
} screens[MOST];
static int count;
static const char *shown_name;

/* Makes a buffer of this size that the program can draw into; returns whether it could. */
static int make_buffer(int card, int width, int height, struct screen *screen)
{
    struct drm_mode_create_dumb dumb = {
        .width = (uint32_t)width, .height = (uint32_t)height, .bpp = 32};
    if (ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &dumb) < 0)
        return 0;
    struct drm_mode_fb_cmd buffer = {.width = dumb.width, .height = dumb.height, .pitch = dumb.pitch,
                                     .bpp = 32, .depth = 24, .handle = dumb.handle};
    struct drm_mode_map_dumb map = {.handle = dumb.handle};
    if (ioctl(card, DRM_IOCTL_MODE_ADDFB, &buffer) < 0 ||
        ioctl(card, DRM_IOCTL_MODE_MAP_DUMB, &map) < 0)
        return 0;
    void *pixels = mmap(NULL, dumb.size, PROT_READ | PROT_WRITE, MAP_SHARED, card, (off_t)map.offset);
    if (pixels == MAP_FAILED)
        return 0;
    *screen = (struct screen){card, buffer.fb_id, pixels, width, height, (int)dumb.pitch / 4};
    return 1;
}

/* Drawn in memory first: a card's own memory may be slow to write and must not be read back. */
static void show(const struct screen *screen, const char *text)
{
    size_t width = (size_t)screen->width, height = (size_t)screen->height;
    uint32_t *picture = calloc(width * height, sizeof *picture);
    int from = text ? screen->height * 3 / 4 : 0;
    if (!picture)
        return;
    if (text)
        draw_typed(picture, screen->width, screen->height, screen->width, shown_name, text);
    else
        draw_banner(picture, screen->width, screen->height, screen->width, shown_name);
    for (size_t y = (size_t)from; y < height; y++)
        memcpy(screen->pixels + y * (size_t)screen->stride, picture + y * width, width * 4);
    free(picture);
    /* Cards that keep a copy of their own (virtio-gpu, bochs since 6.14) are told; others need not be. */
    struct drm_mode_fb_dirty_cmd dirty = {.fb_id = screen->framebuffer};
    ioctl(screen->card, DRM_IOCTL_MODE_DIRTYFB, &dirty);
}

/* Returns a CRTC that can drive this connector and is not in `taken` (bits by index), or 0. */
static uint32_t find_crtc(int card, const struct drm_mode_card_res *all, const uint32_t *encoders,
                          uint32_t encoder_count, uint32_t *taken)
{
    const uint32_t *crtcs = (const uint32_t *)(uintptr_t)all->crtc_id_ptr;
    for (uint32_t i = 0; i < encoder_count; i++) {
        struct drm_mode_get_encoder encoder = {.encoder_id = encoders[i]};
        if (ioctl(card, DRM_IOCTL_MODE_GETENCODER, &encoder) < 0)
            continue;
        for (uint32_t k = 0; k < all->count_crtcs && k < 32; k++)
            if (encoder.possible_crtcs & ~*taken & 1u << k) {
                *taken |= 1u << k;
                return crtcs[k];
            }
    }
    return 0;
}

/* Shows the banner on one connector in its preferred mode (the kernel puts that one first), or in the
 * largest after it that the card's memory holds. */
static void light(int card, const char *card_name, const struct drm_mode_card_res *all,
                  uint32_t connector_id, uint32_t *taken)
{
    struct drm_mode_modeinfo modes[128];
    uint32_t encoders[16];
    struct drm_mode_get_connector connector = {.connector_id = connector_id};
    if (ioctl(card, DRM_IOCTL_MODE_GETCONNECTOR, &connector) < 0 || connector.connection != 1)
        return;
    struct drm_mode_get_connector filled = {.connector_id = connector_id,
        .modes_ptr = (uintptr_t)modes, .encoders_ptr = (uintptr_t)encoders,
        .count_modes = connector.count_modes, .count_encoders = connector.count_encoders};
    if (connector.count_modes > 128 || connector.count_encoders > 16 ||
        ioctl(card, DRM_IOCTL_MODE_GETCONNECTOR, &filled) < 0)
        return;
    uint32_t crtc = find_crtc(card, all, encoders, filled.count_encoders, taken);
    for (uint32_t i = 0; crtc && i < filled.count_modes && count < MOST; i++) {
        if (!make_buffer(card, modes[i].hdisplay, modes[i].vdisplay, &screens[count]))
            continue;
        struct drm_mode_crtc set = {.crtc_id = crtc, .fb_id = screens[count].framebuffer,
            .set_connectors_ptr = (uintptr_t)&connector_id, .count_connectors = 1,
            .mode = modes[i], .mode_valid = 1};
        if (ioctl(card, DRM_IOCTL_MODE_SETCRTC, &set) < 0)
            continue;
        /* After, not before: bochs before 6.14 loses what was drawn when it moves the buffer to the
         * card's memory (seen with 6.1 and 6.12). */
        show(&screens[count], NULL);
        say("screen %s connector %u-%u %dx%d", card_name, filled.connector_type,
            filled.connector_type_id, modes[i].hdisplay, modes[i].vdisplay);
        count++;
        return;
    }
    say("screen %s connector %u-%u dark: %s", card_name, filled.connector_type,
        filled.connector_type_id, strerror(errno));
}

static void draw_card(const char *card_name)
{
    char path[300], driver[64] = "";
    uint32_t crtcs[32], connectors[32], encoders[32], buffers[32], taken = 0;
    snprintf(path, sizeof path, "/dev/dri/%s", card_name);
    int card = open(path, O_RDWR | O_CLOEXEC); /* stays open: closing it turns the screen off */
    if (card < 0)
        return;
    struct drm_version version = {.name = driver, .name_len = sizeof driver - 1};
    ioctl(card, DRM_IOCTL_VERSION, &version);
    say("card %s %s", card_name, driver);
    struct drm_mode_card_res all = {
        .crtc_id_ptr = (uintptr_t)crtcs, .connector_id_ptr = (uintptr_t)connectors,
        .encoder_id_ptr = (uintptr_t)encoders, .fb_id_ptr = (uintptr_t)buffers,
        .count_crtcs = 32, .count_connectors = 32, .count_encoders = 32, .count_fbs = 32};
    if (ioctl(card, DRM_IOCTL_MODE_GETRESOURCES, &all) < 0)
        return;
    for (uint32_t i = 0; i < all.count_connectors && i < 32; i++)
        light(card, card_name, &all, connectors[i], &taken);
}

void draw_cards(const char *name)
{
    struct dirent **entries;
    int found = scandir("/dev/dri", &entries, NULL, versionsort), cards = 0;
    shown_name = name;
    for (int i = 0; i < found; i++)
        if (!strncmp(entries[i]->d_name, "card", 4)) {
            draw_card(entries[i]->d_name);
            cards++;
        }
    if (!cards)
        say("no card");
}

void draw_typed_text(const char *text)
{
    for (int i = 0; i < count; i++)
        show(&screens[i], text);
}
