Rails.application.routes.draw do
  get "up" => "rails/health#show", as: :rails_health_check

  root "home#index"
  post "sign" => "home#sign"

  scope "api" do
    get "notes" => "notes#index"
    post "notes" => "notes#create"
  end
end
