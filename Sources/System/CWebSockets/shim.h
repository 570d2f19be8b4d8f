#pragma once
#include <libwebsockets.h>
#include <pthread.h>
#include <sys/epoll.h>

// LWS_PRE is a computed macro, which Swift cannot import.
enum { kars_lws_pre = LWS_PRE };

// Hidden behind _GNU_SOURCE, which the importer does not define.
int pthread_setname_np(pthread_t thread, const char *name);
