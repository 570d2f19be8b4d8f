#pragma once
#include <seccomp.h>
#include <stdint.h>

/* Swift imports no macros with parameters. */
static inline uint32_t kars_seccomp_refuse(uint16_t number) { return SCMP_ACT_ERRNO(number); }
