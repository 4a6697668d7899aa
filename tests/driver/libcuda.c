/* A stand-in for NVIDIA's driver, for tests on machines without one: it counts, and computes nothing.
 *
 * The device's memory is a range of addresses without anything behind it. Kernels are accepted and not run. What is
 * copied from the device is zeros. NVRTC, which compiles kernels without a driver, is the real one, and its output
 * must be a module with the function that is asked for.
 *
 * STAND_IN_COUNTS names the file that holds the counts, of at least sizeof(struct counts) bytes: it is mapped, so
 * that a reader sees them at any time. STAND_IN_CARD is the compute capability, 80 by default. STAND_IN_LOG
 * names a file that gets a line a call, for finding out where a count comes from. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef int Result;
typedef uint64_t Address;

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500 };

/* The order is that of the reader, `Counts` in tests/driver.rs. */
static struct counts {
    _Atomic uint64_t launches, to_device, to_device_bytes, to_host, to_host_bytes, on_device, waits, kernels;
} unmapped, *counts = &unmapped;

static FILE *calls;

#define LOG(...)                                                                                                       \
    do {                                                                                                               \
        if (calls) {                                                                                                   \
            fprintf(calls, __VA_ARGS__);                                                                               \
        }                                                                                                              \
    } while (0)

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("STAND_IN_COUNTS");
    int file = path ? open(path, O_RDWR) : -1;
    if (file >= 0) {
        void *mapped = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        counts = mapped == MAP_FAILED ? &unmapped : mapped;
        close(file);
    }
    const char *log = getenv("STAND_IN_LOG");
    calls = log ? fopen(log, "w") : NULL;
    if (calls) {
        /* Read while the process runs. */
        setvbuf(calls, NULL, _IOLBF, 0);
    }
    fprintf(stderr, "a stand-in for NVIDIA's driver: calls are counted, and nothing is computed\n");
}

__attribute__((destructor)) static void end(void) {
    fprintf(stderr, "the stand-in was asked for %llu kernels and %llu launches; nothing was computed\n",
            (unsigned long long)counts->kernels, (unsigned long long)counts->launches);
    if (calls) {
        fclose(calls);
    }
}

/* The device */

Result cuInit(unsigned flags) { return SUCCESS; }

Result cuDriverGetVersion(int *version) {
    *version = 12090;
    return SUCCESS;
}

Result cuDeviceGetCount(int *count) {
    *count = 1;
    return SUCCESS;
}

Result cuDeviceGet(int *device, int number) {
    *device = number;
    return number == 0 ? SUCCESS : INVALID_VALUE;
}

Result cuDeviceGetName(char *name, int length, int device) {
    snprintf(name, (size_t)length, "stand-in that computes nothing");
    return SUCCESS;
}

Result cuDeviceGetPCIBusId(char *id, int length, int device) {
    snprintf(id, (size_t)length, "0000:01:00.0");
    return SUCCESS;
}

Result cuDeviceTotalMem_v2(size_t *bytes, int device) {
    *bytes = (size_t)80 << 30;
    return SUCCESS;
}

static int capability(void) {
    const char *card = getenv("STAND_IN_CARD");
    return card ? atoi(card) : 80;
}

/* The numbers are those of CUdevice_attribute; the values are an A100's and an H100's. */
Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    int card = capability();
    switch (attribute) {
    case 1: /* threads of a block */
    case 2: /* along x */
    case 3: /* along y */
        *value = 1024;
        return SUCCESS;
    case 4: /* along z */
        *value = 64;
        return SUCCESS;
    case 5: /* blocks along x */
        *value = 2147483647;
        return SUCCESS;
    case 6:
    case 7:
        *value = 65535;
        return SUCCESS;
    case 8: /* shared memory of a block */
        *value = 49152;
        return SUCCESS;
    case 10: /* threads of a warp */
        *value = 32;
        return SUCCESS;
    case 16: /* multiprocessors */
        *value = card >= 90 ? 132 : 108;
        return SUCCESS;
    case 75:
        *value = card / 10;
        return SUCCESS;
    case 76:
        *value = card % 10;
        return SUCCESS;
    case 97: /* shared memory of a block that asks for it */
        *value = card >= 90 ? 232448 : 166912;
        return SUCCESS;
    default:
        LOG("attribute %d is not known\n", attribute);
        *value = 1;
        return SUCCESS;
    }
}

static _Thread_local void *current;

Result cuDevicePrimaryCtxRetain(void **context, int device) {
    *context = &unmapped;
    return SUCCESS;
}

Result cuDevicePrimaryCtxRelease_v2(int device) { return SUCCESS; }

Result cuCtxSetCurrent(void *context) {
    current = context;
    return SUCCESS;
}

Result cuCtxGetCurrent(void **context) {
    *context = current;
    return SUCCESS;
}

/* Streams, events and waits: nothing is ever pending */

static Result wait_for(const char *what) {
    atomic_fetch_add(&counts->waits, 1);
    LOG("wait %s\n", what);
    return SUCCESS;
}

Result cuCtxSynchronize(void) { return wait_for("context"); }
Result cuStreamSynchronize(void *stream) { return wait_for("stream"); }
Result cuEventSynchronize(void *event) { return wait_for("event"); }

/* A handle that is not null and not that of anything else. */
static void *handle(void) {
    static _Atomic uintptr_t last = 0x1000;
    return (void *)(atomic_fetch_add(&last, 16) + 16);
}

Result cuStreamCreate(void **stream, unsigned flags) {
    *stream = handle();
    return SUCCESS;
}

Result cuStreamCreateWithPriority(void **stream, unsigned flags, int priority) { return cuStreamCreate(stream, flags); }
Result cuStreamDestroy_v2(void *stream) { return SUCCESS; }
Result cuStreamWaitEvent(void *stream, void *event, unsigned flags) { return SUCCESS; }

Result cuCtxGetStreamPriorityRange(int *least, int *greatest) {
    *least = 0;
    *greatest = -5;
    return SUCCESS;
}

Result cuEventCreate(void **event, unsigned flags) {
    *event = handle();
    return SUCCESS;
}

Result cuEventDestroy_v2(void *event) { return SUCCESS; }
Result cuEventRecord(void *event, void *stream) { return SUCCESS; }
Result cuEventQuery(void *event) { return SUCCESS; }

/* All work takes a millisecond. */
Result cuEventElapsedTime(float *milliseconds, void *start, void *stop) {
    *milliseconds = 1.0f;
    return SUCCESS;
}

Result cuEventElapsedTime_v2(float *milliseconds, void *start, void *stop) {
    return cuEventElapsedTime(milliseconds, start, stop);
}

/* Memory */

Result cuMemAlloc_v2(Address *address, size_t bytes) {
    static _Atomic Address next = (Address)1 << 44;
    if (bytes == 0) {
        return INVALID_VALUE;
    }
    *address = atomic_fetch_add(&next, (bytes + 511) / 512 * 512);
    LOG("alloc %zu\n", bytes);
    return SUCCESS;
}

Result cuMemAllocAsync(Address *address, size_t bytes, void *stream) { return cuMemAlloc_v2(address, bytes); }
Result cuMemFree_v2(Address address) { return SUCCESS; }
Result cuMemFreeAsync(Address address, void *stream) { return SUCCESS; }

Result cuMemGetInfo_v2(size_t *free_bytes, size_t *bytes) {
    *free_bytes = (size_t)79 << 30;
    return cuDeviceTotalMem_v2(bytes, 0);
}

/* Pinned memory is the host's own and is read by it. */
Result cuMemAllocHost_v2(void **memory, size_t bytes) {
    *memory = calloc(1, bytes);
    return *memory ? SUCCESS : OUT_OF_MEMORY;
}

Result cuMemFreeHost(void *memory) {
    free(memory);
    return SUCCESS;
}

static void note_to_device(size_t bytes) {
    atomic_fetch_add(&counts->to_device, 1);
    atomic_fetch_add(&counts->to_device_bytes, bytes);
    LOG("to device %zu\n", bytes);
}

static void note_to_host(size_t bytes) {
    atomic_fetch_add(&counts->to_host, 1);
    atomic_fetch_add(&counts->to_host_bytes, bytes);
    LOG("to host %zu\n", bytes);
}

static void note_on_device(size_t bytes) {
    atomic_fetch_add(&counts->on_device, 1);
    LOG("on device %zu\n", bytes);
}

Result cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t bytes, void *stream) {
    note_to_device(bytes);
    return SUCCESS;
}

Result cuMemcpyDtoHAsync_v2(void *to, Address from, size_t bytes, void *stream) {
    note_to_host(bytes);
    memset(to, 0, bytes);
    return SUCCESS;
}

Result cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, void *stream) {
    note_on_device(bytes);
    return SUCCESS;
}

Result cuMemsetD8Async(Address to, unsigned char value, size_t bytes, void *stream) { return SUCCESS; }

/* CUDA_MEMCPY2D */
struct rectangle {
    size_t from_x, from_y;
    int from_kind;
    const void *from_host;
    Address from_device;
    void *from_array;
    size_t from_pitch;
    size_t to_x, to_y;
    int to_kind;
    void *to_host;
    Address to_device;
    void *to_array;
    size_t to_pitch;
    size_t width, height;
};

enum { OF_HOST = 1 };

Result cuMemcpy2DAsync_v2(const struct rectangle *copy, void *stream) {
    size_t bytes = copy->width * copy->height;
    if (copy->to_kind == OF_HOST) {
        note_to_host(bytes);
        for (size_t row = 0; row < copy->height; row++) {
            memset((char *)copy->to_host + copy->to_x + (copy->to_y + row) * copy->to_pitch, 0, copy->width);
        }
    } else if (copy->from_kind == OF_HOST) {
        note_to_device(bytes);
    } else {
        note_on_device(bytes);
    }
    return SUCCESS;
}

/* Kernels */

/* A module is its own copy of what NVRTC made, PTX: text that names its functions. */
Result cuModuleLoadData(void **module, const void *image) {
    if (strstr(image, ".version") == NULL) {
        return INVALID_VALUE;
    }
    *module = strdup(image);
    atomic_fetch_add(&counts->kernels, 1);
    return *module ? SUCCESS : OUT_OF_MEMORY;
}

Result cuModuleUnload(void *module) {
    free(module);
    return SUCCESS;
}

Result cuModuleGetFunction(void **function, void *module, const char *name) {
    char *entry;
    if (asprintf(&entry, ".entry %s(", name) < 0) {
        return OUT_OF_MEMORY;
    }
    const char *found = strstr(module, entry);
    free(entry);
    if (found == NULL) {
        return NOT_FOUND;
    }
    LOG("kernel %s\n", name);
    *function = strdup(name);
    return *function ? SUCCESS : OUT_OF_MEMORY;
}

Result cuFuncSetAttribute(void *function, int attribute, int value) { return SUCCESS; }

Result cuFuncGetAttribute(int *value, int attribute, void *function) {
    *value = 0;
    return SUCCESS;
}

Result cuLaunchKernel(void *function, unsigned blocks_x, unsigned blocks_y, unsigned blocks_z, unsigned x, unsigned y,
                      unsigned z, unsigned shared_bytes, void *stream, void **parameters, void **extra) {
    atomic_fetch_add(&counts->launches, 1);
    LOG("launch %s %u %u %u of %u %u %u\n", (const char *)function, blocks_x, blocks_y, blocks_z, x, y, z);
    return SUCCESS;
}

/* Descriptions of tensors for the copy engines of newer cards: 128 bytes that nobody reads. */
static Result describe(void *map) {
    memset(map, 0, 128);
    return SUCCESS;
}

Result cuTensorMapEncodeTiled(void *map, ...) { return describe(map); }
Result cuTensorMapEncodeIm2col(void *map, ...) { return describe(map); }
Result cuTensorMapEncodeIm2colWide(void *map, ...) { return describe(map); }

/* Errors */

Result cuGetErrorName(int error, const char **name) {
    *name = "CUDA_ERROR_OF_THE_STAND_IN";
    return SUCCESS;
}

Result cuGetErrorString(int error, const char **words) {
    *words = "refused by a stand-in for the driver";
    return SUCCESS;
}
