/* hip_runtime.h - the HIP names that kernels and their launches use, on CUDA. With this folder first in nvcc's include
 * path the same sources run on NVIDIA GPUs. A name that is missing here is one that kernels have not needed yet.
 */
#ifndef GRAFT_NVIDIA_HIP_RUNTIME_H
#define GRAFT_NVIDIA_HIP_RUNTIME_H

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

typedef cudaError_t hipError_t;
typedef cudaStream_t hipStream_t;

#define hipSuccess cudaSuccess
#define hipGetLastError cudaGetLastError
#define hipGetErrorString cudaGetErrorString

#define hipLaunchKernelGGL(kernel, grid, block, shared, stream, ...) \
	(kernel)<<<grid, block, shared, stream>>>(__VA_ARGS__)

/* HIP's shuffles are of the whole warp. */
template <class T> static __device__ __forceinline__ T __shfl(T v, int lane)
{
	return __shfl_sync(0xffffffffu, v, lane);
}

template <class T> static __device__ __forceinline__ T __shfl_xor(T v, int lanes)
{
	return __shfl_xor_sync(0xffffffffu, v, lanes);
}

#endif
