#pragma once
#include <libwebsockets.h>

// LWS_PRE is a computed macro, which Swift cannot import.
enum { kars_lws_pre = LWS_PRE };
