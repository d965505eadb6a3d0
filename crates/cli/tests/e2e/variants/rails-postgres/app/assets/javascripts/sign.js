const stamp = new Image();
stamp.src=RAILS_ASSET_URL("/stamp.svg");
document.body.append(stamp);
