use diapason_model::{Device, ProductPrecision, product_gflops};
fn main() {
    let d = Device::cpu(2).with_products(ProductPrecision::Bf16);
    let a: Vec<usize> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    for _ in 0..a[3] {
        println!("{:.1}", product_gflops(&d, (a[0], a[1], a[2])));
    }
}
