# Read by CMake right after the project() call of llama-cpp-python (CMAKE_PROJECT_llama_cpp_INCLUDE).
# The bindings force LLAMA_BUILD_COMMON on, which compiles llama.cpp's command-line helpers (chat parsers, an HTTP
# client): about 50 of 140 files that `import llama_cpp` never loads. A plain variable wins over the forced cache entry.
set(LLAMA_BUILD_COMMON OFF)
# A GCC without the fix of its bug 114098 (11.5, 12.4, 13.3 and 14 have it) drops the stores that fill a tile configuration, and
# the first product of a block of tokens ends with an illegal instruction. llama.cpp asks for this macro before it uses tiles.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(gcc ${CMAKE_CXX_COMPILER_VERSION})
  if(gcc VERSION_LESS 11.5 OR (gcc VERSION_GREATER_EQUAL 12 AND gcc VERSION_LESS 12.4)
     OR (gcc VERSION_GREATER_EQUAL 13 AND gcc VERSION_LESS 13.3))
    add_compile_options(-U__AMX_INT8__)
  endif()
endif()
