// Style sheets are imported for Vite, which puts them into the page.
declare module '*.css';
