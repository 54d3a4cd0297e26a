mod network;
mod publishing;
mod records;
mod resolving;
