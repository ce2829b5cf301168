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

// A lane's place in a product of a block of eight warps with 64 rows. Four of the warps take sixteen rows each, and of these two
// halves of its columns. Of the fragments: rows `row` and row + 8 of the left factor and the result, columns from 2 · member
// on, column `group` of the right factor.
struct Lane {
    u32 half, group, member, row;
};

__device__ Lane lane() {
    u32 warp = threadIdx.x / WARP;
    Lane l;
    l.half = warp / 4;
    l.group = threadIdx.x % WARP / 4;
    l.member = threadIdx.x % 4;
    l.row = warp % 4 * 16 + l.group;
    return l;
}

// Where number i of four of a lane's in a tile of eight columns is.
__device__ u32 row_of(Lane l, u32 i) { return l.row + i / 2 * 8; }
__device__ u32 column_of(Lane l, u32 tile, u32 i) { return tile * 8 + 2 * l.member + i % 2; }

// A lane's of sixteen columns of the left factor, [64, ..], rows `stride` apart.
__device__ void left_factor(u32* x, const u16* from, u32 stride, Lane l) {
    for (u32 i = 0; i < 4; i++) x[i] = pair(from + (l.row + i % 2 * 8) * stride + i / 2 * 8 + 2 * l.member);
}

// The same of the right one, which lies with its columns as rows: eight of them.
__device__ void right_factor(u32* w, const u16* from, u32 stride, Lane l) {
    for (u32 i = 0; i < 2; i++) w[i] = pair(from + l.group * stride + i * 8 + 2 * l.member);
}
