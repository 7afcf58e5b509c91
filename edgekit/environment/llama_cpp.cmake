# Read by CMake right after the project() call of llama-cpp-python (CMAKE_PROJECT_llama_cpp_INCLUDE).
# The bindings force LLAMA_BUILD_COMMON on, which compiles llama.cpp's command-line helpers (chat parsers, an HTTP
# client): about 50 of 140 files that `import llama_cpp` never loads. A plain variable wins over the forced cache entry.
set(LLAMA_BUILD_COMMON OFF)
