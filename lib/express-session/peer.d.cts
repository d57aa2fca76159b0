export { Store } from 'express-session';
export declare const isInstalled: boolean;
