// CommonJS, since only here the lack of a package can be caught, whether this is loaded by `import` or by `require`. (It throws
// nothing: on Node 20 an error of a CommonJS module ends a process that has caught the rejection of its `import`.)
try {
  exports.Store = require('express-session').Store;
  exports.isInstalled = true;
} catch (error) {
  if (error?.code !== 'MODULE_NOT_FOUND') throw error;
  exports.isInstalled = false;
}
