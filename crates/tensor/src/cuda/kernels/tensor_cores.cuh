// Products of small matrices of bf16 by a warp's tensor cores, with sums in f32; on compute capability 8.0 or newer.

#ifndef T5KIT_EMULATED
// c += a·b by a warp. a: [16, 16], b: [16, 8], c: [16, 8], shared out among the lanes as PTX says of mma.m16n8k16; the
// host's is in cuda_host.h.
__device__ void mma_bf16(float* c, const u32* a, const u32* b) {
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1])
    );
#endif
}
#endif

// Two numbers that lie beside one another, of which the first has an even place.
__device__ u32 pair(const u16* at) { return *(const u32*)at; }

__device__ u32 pair_of(u16 first, u16 second) { return (u32)first | (u32)second << 16; }

