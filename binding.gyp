{
  'variables': {
    # Full paths, empty when absent (see native/libraries.cjs).
    'libdeflate%': '<!(node native/libraries.cjs libdeflate)',
    'zstd%': '<!(node native/libraries.cjs zstd)',
    'isal%': '<!(node native/libraries.cjs isal)',
  },
  'targets': [
    {
      'target_name': 'basecow',
      'sources': ['<!@(ls native/*.cc native/*/*.cc | grep -v ^native/test/)'],
      'include_dirs': ['native', "<!(node -p \"require('node-addon-api').include_dir\")"],
      # A worker may be terminated while one of our functions runs; its last exceptions cannot be thrown any more.
      'defines': ['NAPI_DISABLE_CPP_EXCEPTIONS', 'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS', 'NAPI_VERSION=9', '_FILE_OFFSET_BITS=64',
                  'BASECOW_VERSION="<!(node -p "require(\'./package.json\').version")"'],
      'cflags': ['-fvisibility=hidden', '-O3', '-Wall', '-Wextra', '-fno-plt'],
      'cflags_cc!': ['-std=gnu++17'],
      'cflags_cc': ['-std=gnu++20'],
      'ldflags': ['-Wl,-Bsymbolic', '-Wl,--exclude-libs,ALL', '-Wl,--gc-sections', '-Wl,-z,now'],
      'libraries': ['-lpthread', '-ldl'],
      'conditions': [
        ['libdeflate!=""', {
          'defines': ['BASECOW_HAVE_LIBDEFLATE'],
          'libraries': ['<(libdeflate)'],
        }],
        ['zstd!=""', {
          'defines': ['BASECOW_HAVE_ZSTD'],
          'libraries': ['<(zstd)'],
        }],
        ['isal!=""', {
          # Packaged as a shared library only: carried beside the addon and loaded at run time.
          'defines': ['BASECOW_HAVE_ISAL'],
          'actions': [
            {
              'action_name': 'carry_isal',
              'inputs': ['<(isal)'],
              'outputs': ['<(PRODUCT_DIR)/libisal.so.2'],
              'action': ['cp', '-L', '<(isal)', '<(PRODUCT_DIR)/libisal.so.2'],
            },
          ],
        }],
      ],
    },
  ],
}
