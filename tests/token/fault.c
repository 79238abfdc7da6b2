/*
 * A PKCS#11 module that stands before a real one and makes its tokens slow, silent, wrong or absent.
 *
 * Tests load it as `X.so`. Beside it are `X.so.target`, which names the real module, and `X.so.ctl`,
 * which both sides map: what a test writes there holds from the next call on, and what is counted
 * there a test reads. So each copy of this file is a module of its own, with faults of its own, in
 * however many processes it is loaded.
 *
 * The list of functions is the real module's, but for those that are replaced below.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* All integers of PKCS#11 are an unsigned long: results, handles, lengths, flags. */
typedef unsigned long number;
typedef unsigned char byte;

enum {
    OK = 0x0,
    GENERAL_ERROR = 0x5,
    DEVICE_REMOVED = 0x32,
    TOKEN_NOT_PRESENT = 0xe0,
    BUFFER_TOO_SMALL = 0x150,
};

/* CK_FUNCTION_LIST of version 2: a version and 68 pointers, always in this order. */
struct functions {
    byte version[2];
    number (*initialize)(void *arguments);
    number (*finalize)(void *reserved);
    void *get_info;
    void *get_function_list;
    number (*get_slot_list)(byte only_present, number *slots, number *count);
    number (*get_slot_info)(number slot, byte *info);
    number (*get_token_info)(number slot, byte *info);
    void *mechanisms_and_pins[5];
    number (*open_session)(number slot, number flags, void *context, void *notify, number *session);
    void *close_sessions[2];
    number (*get_session_info)(number session, number *info);
    void *operation_state[2];
    number (*login)(number session, number user, byte *pin, number length);
    void *objects_and_ciphers[23];
    number (*sign_init)(number session, void *mechanism, number key);
    number (*sign)(number session, byte *data, number length, byte *signature, number *space);
    void *others[24];
};

/* `X.so.ctl`. The kit of the tests (tests/it/kit/token/fault.rs) knows this order. */
struct controls {
    /* Written by tests: microseconds, results (0: none is forced), switches. */
    uint64_t latency, fail_sign, fail_open, fail_login, fail_session_info, fail_token_info, hang, absent;
    /* Counted here: calls of each kind, whatever came of them. */
    uint64_t signatures, logins, sessions, initialized, finalized;
    /* Signatures in progress, and the most that ever were at once. */
    uint64_t signing, most_at_once;
    /* The label, padded with spaces, of the one token that all this is about; empty: all tokens. */
    char only[32];
};

static struct functions real, ours;
static struct controls *controls;
static pthread_once_t loading = PTHREAD_ONCE_INIT;

/* No signature hangs for longer, even when a test has died: 30 s, in steps of a millisecond. */
static const int longest_hang = 30 * 1000;

static uint64_t get(uint64_t *control) { return __atomic_load_n(control, __ATOMIC_SEQ_CST); }

static uint64_t add(uint64_t *counter, int64_t more) {
    return __atomic_add_fetch(counter, more, __ATOMIC_SEQ_CST);
}

static void wait_for(uint64_t microseconds) {
    struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000};
    nanosleep(&time, NULL);
}

/* Whether the faults are about the token in a slot. Its label is what CK_TOKEN_INFO begins with. */
static int concerns(number slot) {
    byte info[256];
    if (controls->only[0] == 0) return 1;
    return real.get_token_info(slot, info) == OK && memcmp(info, controls->only, sizeof controls->only) == 0;
}

/* The slot of a session is what CK_SESSION_INFO begins with. */
static int concerns_session(number session) {
    number info[8];
    if (controls->only[0] == 0) return 1;
    return real.get_session_info(session, info) == OK && concerns(info[0]);
}

/* What a call must answer instead of the real module; OK: nothing. A call may have no forced result. */
static number fault(int concerned, uint64_t *forced, number when_absent) {
    if (!concerned) return OK;
    if (get(&controls->absent)) return when_absent;
    return forced == NULL ? OK : get(forced);
}

static number initialize(void *arguments) {
    add(&controls->initialized, 1);
    return real.initialize(arguments);
}

static number finalize(void *reserved) {
    add(&controls->finalized, 1);
    return real.finalize(reserved);
}

/* Slots without a token stay in the list of all slots. */
static number get_slot_list(byte only_present, number *slots, number *count) {
    number all[64], found = 0, kept = 0, result;
    if (!only_present || !get(&controls->absent)) return real.get_slot_list(only_present, slots, count);
    /* Modules look for new tokens when they are asked for the number alone: so both are asked. */
    result = real.get_slot_list(only_present, NULL, &found);
    found = 64;
    if (result == OK) result = real.get_slot_list(only_present, all, &found);
    if (result != OK) return result;
    for (number i = 0; i < found; i++) {
        if (!concerns(all[i])) all[kept++] = all[i];
    }
    if (slots != NULL && *count < kept) result = BUFFER_TOO_SMALL;
    if (slots != NULL && result == OK) memcpy(slots, all, kept * sizeof *slots);
    *count = kept;
    return result;
}

static number get_slot_info(number slot, byte *info) {
    number result = real.get_slot_info(slot, info), *flags = (number *)(info + 64 + 32);
    /* The flags are behind two texts; the lowest one says that there is a token. */
    if (result == OK && get(&controls->absent) && concerns(slot)) *flags &= ~(number)1;
    return result;
}

static number get_token_info(number slot, byte *info) {
    number instead = fault(concerns(slot), &controls->fail_token_info, TOKEN_NOT_PRESENT);
    return instead != OK ? instead : real.get_token_info(slot, info);
}

static number open_session(number slot, number flags, void *context, void *notify, number *session) {
    int concerned = concerns(slot);
    number instead = fault(concerned, &controls->fail_open, TOKEN_NOT_PRESENT);
    if (concerned) add(&controls->sessions, 1);
    return instead != OK ? instead : real.open_session(slot, flags, context, notify, session);
}

static number get_session_info(number session, number *info) {
    number instead = fault(concerns_session(session), &controls->fail_session_info, DEVICE_REMOVED);
    return instead != OK ? instead : real.get_session_info(session, info);
}

static number login(number session, number user, byte *pin, number length) {
    int concerned = concerns_session(session);
    number instead = fault(concerned, &controls->fail_login, TOKEN_NOT_PRESENT);
    if (concerned) add(&controls->logins, 1);
    return instead != OK ? instead : real.login(session, user, pin, length);
}

static number sign_init(number session, void *mechanism, number key) {
    number instead = fault(concerns_session(session), NULL, DEVICE_REMOVED);
    return instead != OK ? instead : real.sign_init(session, mechanism, key);
}

static number sign(number session, byte *data, number length, byte *signature, number *space) {
    byte nowhere[2048];
    number result, room = sizeof nowhere;
    /* Without a buffer this is a question for the length: no work for a token. */
    if (signature == NULL || !concerns_session(session)) {
        return real.sign(session, data, length, signature, space);
    }
    add(&controls->signatures, 1);
    uint64_t now = add(&controls->signing, 1), most = get(&controls->most_at_once);
    while (now > most && !__atomic_compare_exchange_n(&controls->most_at_once, &most, now, 0,
                                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    for (int i = 0; i < longest_hang && get(&controls->hang); i++) wait_for(1000);
    wait_for(get(&controls->latency));
    result = fault(1, &controls->fail_sign, DEVICE_REMOVED);
    if (result == OK) {
        result = real.sign(session, data, length, signature, space);
    } else {
        /* A signature that failed is over: the session must be free for the next one. */
        real.sign(session, data, length, nowhere, &room);
    }
    add(&controls->signing, -1);
    return result;
}

number C_GetFunctionList(struct functions **list);

static void load(void) {
    char path[4096], target[4096] = "";
    struct functions *found;
    Dl_info self;
    if (!dladdr((void *)C_GetFunctionList, &self)) return;

    snprintf(path, sizeof path, "%s.target", self.dli_fname);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || read(file, target, sizeof target - 1) <= 0) return;
    close(file);
    void *library = dlopen(target, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return;
    number (*list_of_target)(struct functions **) =
        (number (*)(struct functions **))dlsym(library, "C_GetFunctionList");
    if (list_of_target == NULL || list_of_target(&found) != OK) return;

    snprintf(path, sizeof path, "%s.ctl", self.dli_fname);
    file = open(path, O_RDWR | O_CLOEXEC);
    void *map = mmap(NULL, sizeof *controls, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (map == MAP_FAILED) return;

    real = ours = *found;
    ours.initialize = initialize, ours.finalize = finalize;
    ours.get_function_list = (void *)C_GetFunctionList;
    ours.get_slot_list = get_slot_list, ours.get_slot_info = get_slot_info;
    ours.get_token_info = get_token_info, ours.open_session = open_session;
    ours.get_session_info = get_session_info, ours.login = login;
    ours.sign_init = sign_init, ours.sign = sign;
    controls = map;
}

number C_GetFunctionList(struct functions **list) {
    pthread_once(&loading, load);
    *list = &ours;
    return controls == NULL ? GENERAL_ERROR : OK;
}
