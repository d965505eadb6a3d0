class Note < ApplicationRecord
  validates :message, presence: true, length: { maximum: 280 }
end
